"""The evaluation of a task: its methods scored, compared and described, its split audited."""
