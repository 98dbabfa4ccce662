"""`bakeoff demo`: a page on which several methods predict the same image, side by side.

Gradio is imported by `page` and `server` alone, and only when the demo starts.
"""
