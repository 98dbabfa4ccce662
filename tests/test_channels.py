"""Images of any number of channels, from their files to predictions."""

import io
import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import timm
import torch
from bakeoff.artefacts.channels import as_rgb, resized
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.grey_levels import grey
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.baselines.classical import extract_features
from bakeoff.cli import main
from bakeoff.datasets.preparation.decode import decode, header
from bakeoff.datasets.preparation.samples import Undecodable
from bakeoff.demo.rendering import small
from bakeoff.evaluation.out_of_distribution import descriptors, fit_detector, parse_detector
from bakeoff.inference import drawing
from bakeoff.models.encoders.imagenet import adapted
from bakeoff.report.pictures import picture
from bakeoff.training.augmentation import adjust_levels
from bakeoff.training.saved import load_network
from click.testing import CliRunner
from PIL import Image
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torchvision import models

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 18, 26


def stack(*sizes: int, dtype: Any = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (*sizes, HEIGHT, WIDTH), dtype, endpoint=True)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def axes(names: str, **options: Any) -> dict[str, Any]:
    return {"metadata": {"axes": names}, **options}


def last(planes: np.ndarray) -> np.ndarray:
    """Channels first to channels last."""
    return np.moveaxis(planes, 0, -1)


# Files


@pytest.mark.parametrize("channels", [2, 4, 5, 8])
@pytest.mark.parametrize(
    ("order", "options"),
    [
        ("CYX", axes("CYX")),
        ("ZCYX", axes("ZCYX")),
        ("CZYX", axes("CZYX")),
        ("TZCYX", axes("TZCYX")),
        ("CYX", axes("CYX", ome=True)),
        ("ZCYX", axes("ZCYX", ome=True)),
        ("TCZYX", axes("TCZYX", ome=True)),
        ("ZCYX", axes("ZCYX", imagej=True)),
        ("SYX", {"planarconfig": "separate"}),
        ("SYX", {"planarconfig": "separate", "compression": "zlib"}),
        ("YXS", {"planarconfig": "contig"}),
    ],
    ids=str,
)
def test_channels_of_a_tiff_are_found_in_any_order_of_axes(order: str, options: dict[str, Any], channels: int) -> None:
    lengths = {"C": channels, "S": channels, "Z": 3, "T": 2, "Y": HEIGHT, "X": WIDTH}
    pixels = RNG.integers(0, 256, [lengths[axis] for axis in order], np.uint8)
    data = tiff(pixels, **options)
    expected, seen = pixels, order
    for axis in "TZ":
        if axis in seen:
            expected, seen = expected.take(0, axis=seen.index(axis)), seen.replace(axis, "")
    expected = np.moveaxis(expected, [seen.index(axis) for axis in ("Y", "X")], [0, 1])
    found = decode(data, channels)
    assert np.array_equal(found.pixels, expected)
    assert header(data).channels == channels
    assert header(data).unsaid == 0
    others = int(np.prod([lengths[axis] for axis in order if axis in "TZ"]))
    assert found.converted == (f"first of {others} pages" if others > 1 else "")


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
@pytest.mark.parametrize("way", ["one stack", "page by page", "without metadata", "by Pillow"])
def test_pages_without_a_name_are_channels_where_the_folder_says_so(way: str, channels: int) -> None:
    planes = stack(channels)
    buffer = io.BytesIO()
    if way == "by Pillow":
        first, *others = map(Image.fromarray, planes)
        first.save(buffer, "TIFF", save_all=True, append_images=others)
    elif way == "page by page":
        with tifffile.TiffWriter(buffer) as writer:
            for plane in planes:
                writer.write(plane)
    else:
        tifffile.imwrite(buffer, planes, photometric="minisblack", **({} if way == "one stack" else {"metadata": None}))
    data = buffer.getvalue()
    assert (header(data).channels, header(data).unsaid) == (0, channels)
    assert np.array_equal(decode(data, channels).pixels, last(planes))
    assert np.array_equal(decode(data, 1).pixels[..., 0], planes[0])
    assert decode(data, 1).converted == f"first of {channels} pages"
    with pytest.raises(Undecodable, match=rf"it has 1 channel \(first of {channels} pages\), and .* channels is 7"):
        decode(data, 7)


@pytest.mark.parametrize("axis", ["Z", "T"])
def test_focal_planes_and_times_are_no_channels_unless_nothing_else_is_possible(axis: str) -> None:
    for count in (3, 4):
        data = tiff(stack(count), **axes(f"{axis}YX", ome=True))
        assert (header(data).channels, header(data).unsaid) == (0, 0)
        assert header(data).kind == f"TIFF, L, axes {axis} {count}"
    data, planes = tiff(stack(3), **axes(f"{axis}YX")), stack(4)
    found = decode(data, 3)
    assert (found.pixels == found.pixels[..., :1]).all(), "the first plane, in grey"
    assert np.array_equal(decode(tiff(planes, **axes(f"{axis}YX")), 4).pixels, last(planes))


def test_samples_beyond_rgb_are_channels_where_the_folder_says_so_and_transparency_never_by_itself() -> None:
    pixels = last(stack(5))
    infrared = tiff(pixels[..., :4], photometric="rgb", extrasamples=["unspecified"])
    assert (header(infrared).channels, header(infrared).unsaid) == (0, 4)
    assert np.array_equal(decode(infrared, 4).pixels, pixels[..., :4])
    assert np.array_equal(decode(infrared, 3).pixels, pixels[..., :3])
    transparent = tiff(pixels[..., :4], photometric="rgb", extrasamples=["unassalpha"])
    assert (header(transparent).channels, header(transparent).unsaid) == (0, 0)
    assert not np.array_equal(decode(transparent, 3).pixels, pixels[..., :3])
    found = decode(transparent, 4)
    assert np.array_equal(found.pixels, pixels[..., :4])
    assert found.converted == "transparency as a channel"
    grey = tiff(pixels[..., :2], planarconfig="contig", extrasamples=["unassalpha"])
    assert (header(grey).channels, header(grey).unsaid) == (0, 0)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_file_of_other_channels_is_refused_in_a_sentence(channels: int) -> None:
    data = tiff(stack(5), **axes("CYX"))
    with pytest.raises(Undecodable, match=f"^it has 5 channels, and the configuration's channels is {channels}$"):
        decode(data, channels)
    for mode, count in (("L", "1 channel"), ("LA", "1 channel"), ("RGB", "3 channels"), ("RGBA", "3 channels")):
        buffer = io.BytesIO()
        Image.new(mode, (9, 7)).save(buffer, "PNG")
        with pytest.raises(Undecodable, match=f"^it has {count}, and the configuration's channels is 4$"):
            decode(buffer.getvalue(), 4)


def test_channels_after_the_width_are_refused_in_a_sentence() -> None:
    with pytest.raises(Undecodable, match="a TIFF with the axes YXC, which is not read: write channels as CYX"):
        decode(tiff(last(stack(5)), **axes("YXC")), 5)


# Levels


def test_levels_are_of_all_channels_or_of_each() -> None:
    planes = np.array([[[0, 100, 200]], [[1000, 2000, 3000]], [[0, 30000, 65535]], [[5, 5, 5]]], np.uint16)
    data = tiff(planes, **axes("CYX"))
    assert decode(data, 4).pixels[0, 1].tolist() == [0, 8, 117, 0], "by their depth, 16 bits"
    assert decode(data, 4, levels=(0, 200)).pixels[0, 1].tolist() == [128, 255, 255, 6]
    found = decode(data, 4, levels=[(0, 200), (1000, 3000), (0, 60000), (4, 6)])
    assert found.pixels[0].T.tolist() == [[0, 128, 255], [0, 128, 255], [0, 128, 255], [128] * 3]
    assert found.converted == "levels 0 to 200 and 1000 to 3000 and 0 to 60000 and 4 to 6"
    three = decode(tiff(planes[:3], **axes("CYX")), 3, levels=[(0, 200), (1000, 3000), (0, 60000)])
    assert three.pixels[0, 1].tolist() == [128, 128, 128]
    with pytest.raises(Undecodable, match="it has 1 channel, and levels are of 3"):
        decode(tiff(planes[0]), 3, levels=[(0, 200), (1000, 3000), (0, 60000)])


# Pixels


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 8, 32])
@pytest.mark.parametrize("size", [(7, 9), (18, 13), (40, 50)])
@pytest.mark.parametrize("interpolation", [cv2.INTER_AREA, cv2.INTER_LINEAR])
def test_resizing_treats_every_channel_alike(channels: int, size: tuple[int, int], interpolation: int) -> None:
    image = last(stack(channels))
    found = resized(image, size, interpolation)
    assert found.shape == (*size, channels)
    for channel in range(channels):
        alone = cv2.resize(np.ascontiguousarray(image[..., channel]), size[::-1], interpolation=interpolation)
        assert np.array_equal(found[..., channel], alone)


def test_the_first_three_channels_are_shown_as_red_green_and_blue() -> None:
    image = last(stack(5))
    assert np.array_equal(as_rgb(image), image[..., :3])
    assert np.array_equal(as_rgb(image[..., :1]), image[..., [0, 0, 0]])
    assert np.array_equal(as_rgb(image[..., :2]), image[..., :3] * np.array([1, 1, 0], np.uint8))


def test_reports_predictions_and_the_demo_show_the_same_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = last(stack(5))
    shown = as_rgb(image)
    assert np.array_equal(picture(image, WIDTH), picture(shown, WIDTH))
    assert np.array_equal(small(image, WIDTH), shown)
    assert np.array_equal(small(image, 9), small(shown, 9))
    blank = np.zeros((HEIGHT, WIDTH), np.uint8)
    assert np.array_equal(drawing.outlined(image, blank), shown)
    monkeypatch.setattr(drawing, "OVERLAY_SIDE", 13)
    drawing.write_overlay(tmp_path / "overlay.jpg", image, blank)
    assert Image.open(tmp_path / "overlay.jpg").size == (13, 9)


@pytest.mark.parametrize("channels", [2, 4, 8])
def test_grey_levels_of_channels_are_their_mean(channels: int) -> None:
    image = last(stack(channels))
    assert np.array_equal(grey(image), np.rint(image.mean(axis=-1)).astype(np.uint8))


def test_pixels_are_features_with_all_channels_and_gradients_those_of_their_mean() -> None:
    images = [last(stack(5)) for _ in range(3)]
    pixels = extract_features(images, "rgb", 6)
    expected = np.stack([resized(image, (6, 6), cv2.INTER_AREA).ravel() for image in images])
    assert np.allclose(pixels, expected / 255, atol=1e-6)
    means = [grey(image)[..., None] for image in images]
    for features in ("grey", "hog"):
        assert np.array_equal(extract_features(images, features, 16), extract_features(means, features, 16))


def test_an_image_with_one_channel_dimmed_is_out_of_distribution() -> None:
    images = (RNG.normal(120, 20, (60, 24, 24, 4)) + RNG.normal(0, 8, (60, 1, 1, 4))).clip(0, 255).astype(np.uint8)
    assert descriptors(images).shape == (60, 47 + 2 * 4)
    assert descriptors([np.zeros((1030, 7, 5), np.uint8)]).shape == (1, 47 + 2 * 5)
    detector = parse_detector(fit_detector(images, range(40), range(40, 60), Geometry("stretch", 24, 24)))
    # The mean of the channels stays as it was.
    shifted = images[:1].astype(np.int16) + np.array([90, -90, 0, 0], np.int16)
    assert detector.scores(shifted.clip(0, 255).astype(np.uint8))[0] == 1


# Networks

ENCODERS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "resnet50_unet": ("conv1.weight", {}, models.resnet50),
    "resnet50_classifier": ("conv1.weight", {}, models.resnet50),
    "deeplabv3plus": ("conv1.weight", {}, models.resnet50),
    "mobilenetv2_unet": ("features.0.0.weight", {}, models.mobilenet_v2),
    "timm_classifier": (
        "stem.0.weight",
        {"backbone": "convnext_tiny"},
        lambda: timm.create_model("convnext_tiny.fb_in22k", num_classes=5),
    ),
    "smp_reference": ("conv1.weight", {"architecture": "fpn", "encoder": "resnet34"}, models.resnet34),
}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 32])
def test_weights_of_a_first_convolution_are_adapted_as_by_timm(channels: int) -> None:
    weight = torch.randn(6, 3, 7, 5)
    assert torch.equal(adapted(weight, channels), adapt_input_conv(channels, weight.clone()))
    if channels > 3:
        assert torch.allclose(adapted(weight, channels)[:, 3], weight[:, 0] * 3 / channels)
    foreign = torch.randn(6, 4, 7, 5)
    assert adapted(foreign, channels) is foreign, "whose shape is then found not to fit"


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> tuple[str, dict[str, Tensor]]:
    torch.manual_seed(3)
    return request.param, ENCODERS[request.param][2]().state_dict()


def loaded(name: str, weights: dict[str, Tensor], channels: int) -> nn.Module:
    torch.manual_seed(0)
    module = import_module(f"bakeoff.models.{name}")
    network: nn.Module = module.build(channels, 1, **ENCODERS[name][1])
    module.load_encoder(network, weights)
    return network.eval()


@pytest.mark.parametrize("channels", [1, 2, 4, 8])
def test_pretrained_encoders_take_any_number_of_channels(encoder: tuple[str, dict[str, Tensor]], channels: int) -> None:
    name, weights = encoder
    network = loaded(name, weights, channels)
    first = next(each for each in network.modules() if isinstance(each, nn.Conv2d))
    assert torch.equal(first.weight, adapt_input_conv(channels, weights[ENCODERS[name][0]].clone()))
    with torch.no_grad():
        assert network(torch.randn(1, channels, 40, 64)).isfinite().all()


def test_a_grey_image_gives_what_it_gives_as_three_equal_channels(encoder: tuple[str, dict[str, Tensor]]) -> None:
    name, weights = encoder
    grey_network, colour_network = (loaded(name, weights, channels) for channels in (1, 3))
    parts = colour_network.state_dict()
    grey_network.load_state_dict({key: each for key, each in parts.items() if each.shape[1:2] != (3,)}, strict=False)
    batch = torch.randn(1, 1, 40, 64)
    with torch.no_grad():
        expected = colour_network(batch.expand(-1, 3, -1, -1))
        torch.testing.assert_close(grey_network(batch), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ENCODERS)
def test_without_weights_every_channel_has_its_own(name: str) -> None:
    torch.manual_seed(0)
    network = import_module(f"bakeoff.models.{name}").build(6, 1, **ENCODERS[name][1])
    first = next(each for each in network.modules() if isinstance(each, nn.Conv2d))
    assert first.weight.shape[1] == 6
    assert not torch.equal(first.weight[:, 0], first.weight[:, 3])
    assert 0.01 < first.weight.std() < 0.2


def test_contrast_changes_about_the_mean_of_each_channel_where_these_are_no_colours() -> None:
    images = torch.rand(2, 4, 6, 5) * torch.tensor([0.1, 0.2, 0.4, 0.6]).view(1, 4, 1, 1) + 0.1
    one, contrast = torch.ones(2), torch.full((2,), 1.2)
    changed = adjust_levels(images, one, contrast, torch.zeros(2))
    assert torch.allclose(changed.mean(dim=(2, 3)), images.mean(dim=(2, 3)), atol=1e-6)
    for channel in range(4):
        alone = adjust_levels(images[:, [channel]], one, contrast, torch.zeros(2))
        assert torch.allclose(changed[:, [channel]], alone, atol=1e-6)


# From a folder to predictions


def ran(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_four_channels_from_a_folder_to_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, images = tmp_path / "project", tmp_path / "cells" / "images"
    masks = tmp_path / "cells" / "masks"
    for folder in (project, images, masks):
        folder.mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, project)
    (project / "workflow").symlink_to(ROOT / "workflow")
    monkeypatch.chdir(project)
    rows, columns = np.mgrid[:48, :64]
    dim = np.array([800, 120, 5000, 90])[:, None, None]
    for number in range(20):
        centre = RNG.integers(12, 36, 2)
        disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 70
        # Seen in the second channel alone.
        pixels = RNG.normal(dim, dim / 10, (4, 48, 64)) + disc * np.array([0, 200, 0, 0])[:, None, None]
        data = tiff(pixels.astype(np.uint16), **axes("CYX", ome=True))
        (images / f"{number}.ome.tif").write_bytes(data)
        Image.fromarray(disc.astype(np.uint8) * 255).save(masks / f"{number}.png")

    ran("add", "../cells", "--no-pretrained")
    ran("keep", "cells")
    configuration = Path("params.yaml").read_text()
    Path("params.yaml").write_text(configuration.replace("epochs: 75", "epochs: 1"))
    ran("check")
    for stage in ("prepare-folder cells", "split cells", "weights none", "baselines cells", "train cells-unet-small"):
        ran(*stage.split())
    data = open_prepared(Path("data/prepared/cells"))
    assert data.images.shape == (20, 48, 64, 4)
    assert all(3 < level < 252 for level in np.median(data.images, axis=(0, 1, 2))), "each with its own levels"
    _, description = load_network(Path("results/cells/cells-unet-small/models/seed0.safetensors"))
    assert description.in_channels == len(description.mean) == 4
    ran("evaluate", "cells")
    ran("card", "cells")
    shown = Path("results/report/data-cells.html").read_text()
    assert "4 channels" in shown
    assert "Pictures show channels 1 to 3 as red, green and blue. Grey levels" in shown

    grey_file = str(masks / "3.png")
    for arguments in (("cells-unet-small",), ("cells-unet-small", "--runtime", "onnx"), ("cells-otsu",)):
        if "onnx" in arguments:
            ran("export", "cells-unet-small")
        out = Path("-".join(arguments))
        paths = sorted(map(str, images.iterdir()))
        done = CliRunner().invoke(main, ["predict", *arguments, "--out", str(out), *paths, grey_file])
        assert f"{grey_file}: it has 1 channel, and the configuration's channels is 4" in done.output
        assert len(list((out / "masks").iterdir())) == len(list((out / "overlays").iterdir())) == 20
        about = json.loads((out / "about.json").read_text())
        assert about["channels"] == len(about["levels"]) == 4
    torch_masks, onnx_masks = (
        [np.asarray(Image.open(mask)) for mask in sorted((Path(out) / "masks").iterdir())]
        for out in ("cells-unet-small", "cells-unet-small---runtime-onnx")
    )
    assert np.mean(np.equal(torch_masks, onnx_masks)) > 0.98
