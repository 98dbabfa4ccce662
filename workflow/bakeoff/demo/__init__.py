"""`bakeoff demo`: a page on which one hands in an image and sees what several methods make of it, side by side.

Gradio is imported by `page` and `server` alone, and only when the demo starts.
"""
