"""The page of `bakeoff demo`, and the same as an API; docs/demo.md describes both."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.demo.catalogue import DemoTask, task_values
from bakeoff.demo.comparing import (
    MOST_METHODS,
    Comparison,
    Picture,
    as_values,
    chosen_methods,
    compare,
    picture_of_example,
    picture_of_file,
)
from bakeoff.demo.pool import Pool
from bakeoff.demo.rendering import comparison_html, indices_uri, small, words_html
from bakeoff.demo.uploads import KEPT_SECONDS, Uploads

log = logging.getLogger(__name__)

# Predictions run one at a time: each has all cores, and memory is bounded by one request.
AT_ONCE: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "predict"}
THUMBNAIL_SIDE = 160
# Seconds: how often Gradio looks for files to remove, and how old unused ones are.
CLEANING = (600, KEPT_SECONDS)
INTRODUCTION = """# Bakeoff
Upload an image, or choose a test image, and compare what several methods predict.
"""
OR_TAKE = "Or choose a test image. No method was trained on these:"
# Masks lie over pictures in the page: the slider needs no request.
OPACITY = "opacity => { document.documentElement.style.setProperty('--mask-opacity', opacity) }"

# Gradio's description of an uploaded file.
File = dict[str, Any]


class Demo:
    """What the events of the page do.

    Parameters
    ----------
    tasks
        By name; at least one.
    pool
        The methods.
    uploads
        The uploaded files.
    """

    def __init__(self, tasks: Mapping[str, DemoTask], pool: Pool, uploads: Uploads) -> None:
        self.tasks, self._pool, self._uploads = tasks, pool, uploads

    def task(self, name: str) -> DemoTask:
        """The task of that name.

        Raises
        ------
        BakeoffError
            If there is none.
        """
        if name not in self.tasks:
            raise BakeoffError(f"There is no task '{name}': choose among {', '.join(self.tasks)}.")
        return self.tasks[name]

    def compare(
        self,
        task: str,
        methods: list[str],
        file: File | None,
        example: str | None,
        session: str,
        progress: gr.Progress | None = None,
    ) -> Comparison:
        """The predictions of the methods for the file, or else for the example.

        Raises
        ------
        BakeoffError
            If there is no image or no method.
        """
        chosen_task = self.task(task)
        chosen = chosen_methods(chosen_task, methods or [])
        picture = self._picture(chosen_task, file, example, session)

        def tell(place: int, label: str) -> None:
            if progress is not None:
                progress((place, len(chosen)), desc=label, unit="methods")

        return compare(chosen_task, picture, chosen, self._pool.get, lambda place, method: tell(place, method.label))

    def _picture(self, task: DemoTask, file: File | None, example: str | None, session: str) -> Picture:
        if file and file.get("path"):
            path = self._uploads.use(str(file["path"]), session)
            return picture_of_file(task, path, str(file.get("orig_name") or path.name))
        if example:
            return picture_of_example(task, example)
        raise BakeoffError("There is no image: upload one, or choose one of the examples.")

    def html(
        self,
        task: str,
        methods: list[str],
        file: File | None,
        example: str | None,
        session: str,
        progress: gr.Progress | None = None,
    ) -> str:
        """The same as HTML; a refusal is a sentence."""
        try:
            return comparison_html(self.compare(task, methods, file, example, session, progress))
        except BakeoffError as error:
            return words_html(str(error))
        except Exception:
            log.exception("a comparison failed")
            return words_html("Something went wrong. The terminal in which `bakeoff demo` runs shows the error.")

    def leave(self, request: gr.Request) -> None:
        """Remove the files that a session uploaded."""
        self._uploads.leave(session_of(request))


def session_of(request: gr.Request) -> str:
    """The identifier of a visitor."""
    return str(request.session_hash)


def build_page(tasks: Mapping[str, DemoTask], pool: Pool, uploads: Uploads) -> gr.Blocks:
    """The page and its API, ready to be launched."""
    demo = Demo(tasks, pool, uploads)
    first = next(iter(tasks.values()))
    with gr.Blocks(title="Bakeoff", analytics_enabled=False, delete_cache=CLEANING, fill_width=True) as page:
        gr.Markdown(INTRODUCTION)
        task = gr.Dropdown([(each.title, name) for name, each in tasks.items()], value=first.name, label="Task")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                file = gr.Image(
                    label="Your image",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=220,
                    buttons=[],
                )
                gr.Markdown(OR_TAKE, elem_classes="caption")
                gallery = gr.Gallery(**_gallery(first), elem_id="examples", show_label=False)
            with gr.Column(scale=5, min_width=300):
                methods = gr.CheckboxGroup(**_methods(first), elem_id="methods")
                with gr.Row(equal_height=True):
                    button = gr.Button("Compare", variant="primary", min_width=140)
                    opacity = gr.Slider(
                        0, 1, value=0.5, step=0.05, label="Opacity of the masks", visible=first.masks, scale=2
                    )
                results = gr.HTML(_welcome(first), elem_id="results")
        example = gr.State("")
        _connect(demo, task, file, gallery, methods, button, opacity, results, example)
        _offer(demo)
        page.unload(demo.leave)
    return page


def _connect(
    demo: Demo,
    task: gr.Dropdown,
    file: gr.Image,
    gallery: gr.Gallery,
    methods: gr.CheckboxGroup,
    button: gr.Button,
    opacity: gr.Slider,
    results: gr.HTML,
    example: gr.State,
) -> None:
    """Connect the elements of the page with what they do."""
    # Raw values, so that the message about a file that is not an image is this project's and not Gradio's.
    private: dict[str, Any] = {"api_visibility": "private", "preprocess": False}
    predicting: dict[str, Any] = {**private, **AT_ONCE, "show_progress_on": [results]}
    progress = gr.Progress()

    def choose_task(name: str) -> tuple[Any, ...]:
        chosen = demo.task(name)
        masks = gr.Slider(visible=chosen.masks)
        return gr.Gallery(**_gallery(chosen)), gr.CheckboxGroup(**_methods(chosen)), masks, None, "", _welcome(chosen)

    def upload(name: str, selected: list[str], given: File | None, request: gr.Request, told: Any = progress) -> Any:
        html = demo.html(name, selected, given, None, session_of(request), progress=told)
        return html, "", gr.Gallery(selected_index=None)

    def choose_example(
        name: str, selected: list[str], request: gr.Request, event: gr.SelectData, told: Any = progress
    ) -> Any:
        id_ = demo.task(name).examples()[event.index]
        return demo.html(name, selected, None, id_, session_of(request), progress=told), id_, None

    def compare_again(
        name: str, selected: list[str], given: File | None, id_: str, request: gr.Request, told: Any = progress
    ) -> str:
        return demo.html(name, selected, given, id_, session_of(request), progress=told)

    task.input(choose_task, task, [gallery, methods, opacity, file, example, results], **private)
    file.upload(upload, [task, methods, file], [results, example, gallery], **predicting)
    gallery.select(choose_example, [task, methods], [results, example, file], **predicting)
    button.click(compare_again, [task, methods, file, example], results, **predicting)
    file.clear(lambda name: _welcome(demo.task(name)), task, results, **private)
    opacity.input(None, opacity, None, js=OPACITY, api_visibility="private")


def _offer(demo: Demo) -> None:
    """The endpoints for programs."""

    def tasks() -> list[dict[str, Any]]:
        """Every task with its methods (best first) and the ids of some test images."""
        return [task_values(each) for each in demo.tasks.values()]

    def predict(
        task: str,
        methods: list[str],
        request: gr.Request,
        picture: dict | None = None,
        example: str | None = None,
    ) -> dict[str, Any]:
        """Predictions of methods for an uploaded picture, or for a test image by its id."""
        return _refusing(
            lambda: as_values(demo.compare(task, methods, picture, example, session_of(request)), indices_uri)
        )

    gr.api(tasks, api_name="tasks", queue=False)
    gr.api(predict, api_name="predict", **AT_ONCE)


def _refusing(answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Turn an error that the user can correct into the one that Gradio sends to clients."""
    try:
        return answer()
    except BakeoffError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _gallery(task: DemoTask) -> dict[str, Any]:
    pictures = [(small(task.example(id_), THUMBNAIL_SIDE), id_) for id_ in task.examples()]
    return {
        "value": pictures,
        "label": "Test images",
        "columns": 4,
        "height": "auto",
        "object_fit": "cover",
        "allow_preview": False,
        "interactive": False,
        "buttons": [],
        "selected_index": None,
    }


def _methods(task: DemoTask) -> dict[str, Any]:
    return {
        "choices": [(each.label, each.experiment) for each in task.methods],
        "value": [each.experiment for each in task.methods if each.chosen],
        "label": "Methods, best first" if task.ranked else "Methods",
        "info": f"At most {MOST_METHODS} at a time.",
    }


def _welcome(task: DemoTask) -> str:
    note = words_html(task.note).replace(' role="alert"', "") if task.note else ""
    return f'{note}<p class="about">Results appear here.</p>'
