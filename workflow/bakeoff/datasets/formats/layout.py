"""How images and masks lie in a folder: found from the names of files, as patterns of paths."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bakeoff.datasets.formats.names import split_of, stem
from bakeoff.datasets.formats.patterns import Pattern, key_of

IMAGE_WORDS = frozenset(
    (
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages"),
        *("input", "inputs", "scan", "scans", "original", "originals"),
    )
)
MASK_WORDS = frozenset(
    (
        *("mask", "masks", "label", "labels", "annotation", "annotations", "annot", "annots", "gt", "groundtruth"),
        *("segmentation", "segmentations", "segmentationclass", "seg", "segs", "truth", "target", "targets", "manual"),
    )
)
# Pictures whose names are compared to find what the names of masks have more than those of images.
COMPARED = 50

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_NUMBER = re.compile(r"[_\- .]*\(?\d+\)?$")
_TOKEN = re.compile(r"[^_\-. ]+")

Folders = tuple[str, ...]


class Layout(NamedTuple):
    """Patterns of the paths of images and masks; how many masks have an image by them, less those that have none."""

    images: str
    masks: str
    worth: int = 0


class _File(NamedTuple):
    """A picture's folders before, of and after the one that says what it is, and its name without suffix."""

    path: str
    before: Folders
    role: str
    after: Folders
    stem: str


def layouts(pictures: Sequence[str]) -> list[Layout]:
    """Every layout in which pictures may be images and masks, the one in which most masks have an image first.

    Those with at most half as many are left out: where there is no doubt, one layout is left.
    """
    images, masks = _by_folder(pictures)
    found = {
        layout
        for mask_files in masks.values()
        for image_files in images.values()
        for layout in _between(image_files, mask_files)
    } or set(_side_by_side(next(iter(images.values()), [])))
    counted = sorted((_counted(layout, pictures) for layout in found), key=lambda each: (-each.worth, each))
    return [each for each in counted if each.worth > max(counted[0].worth / 2, 0)]


def paired(images: Pattern, masks: Pattern, pictures: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Masks by image, none for an image without one; and masks without an image.

    What matches both patterns is a mask where the image that it would be the mask of exists. Of several images of one
    key the mask belongs to the one with the same suffix, and to the first where none has it.
    """
    common = tuple(name for name in images.names if name in masks.names)
    as_image = {path: key_of(found, common) for path in pictures if (found := images.match(path))}
    as_mask = {path: key_of(found, common) for path in pictures if (found := masks.match(path))}
    keys = defaultdict(list)
    for path, key in as_image.items():
        keys[key].append(path)
    is_mask = {
        path: key for path, key in as_mask.items() if path not in as_image or any(one != path for one in keys[key])
    }
    pairs: dict[str, list[str]] = {path: [] for path in as_image if path not in is_mask}
    alone = []
    for path, key in is_mask.items():
        owners = [one for one in keys[key] if one in pairs]
        same = [one for one in owners if one.rpartition(".")[2] == path.rpartition(".")[2]]
        if owners:
            pairs[(same or owners)[0]].append(path)
        else:
            alone.append(path)
    return pairs, alone


def words_of(name: str) -> set[str]:
    """The words of a file's or folder's name, lower-case, and its letters taken together."""
    return {word.lower() for word in _WORD.findall(name)} | {re.sub(r"[^a-z]", "", name.lower())}


def shared_folders(folders: Sequence[Folders]) -> int:
    """How many folders, from the first on, all of these paths begin with."""
    count = 0
    while all(len(each) > count and each[count] == folders[0][count] for each in folders):
        count += 1
    return count


def is_role(name: str) -> bool:
    """Whether a folder is called after images or masks and nothing else."""
    return re.sub(r"[^a-z]", "", name.lower()) in IMAGE_WORDS | MASK_WORDS


def _by_folder(pictures: Sequence[str]) -> tuple[dict[str, list[_File]], dict[str, list[_File]]]:
    """Images and masks by what the folder that says so is called; without such a folder for images, all the others."""
    roles: dict[str, dict[str, list[_File]]] = {"image": defaultdict(list), "mask": defaultdict(list)}
    others = []
    for path in pictures:
        *folders, _ = path.split("/")
        for position in range(len(folders) - 1, -1, -1):
            words = words_of(folders[position])
            if role := "mask" if words & MASK_WORDS else "image" if words & IMAGE_WORDS else None:
                file = _file(path, position)
                roles[role][file.role.lower()].append(file)
                break
        else:
            others.append(_File(path, (), "", tuple(folders), stem(path)))
    if not roles["image"] and others:
        shared = shared_folders([file.after for file in others])
        roles["image"][""] = [file._replace(before=file.after[:shared], after=file.after[shared:]) for file in others]
    return roles["image"], roles["mask"]


def _file(path: str, position: int) -> _File:
    *folders, _ = path.split("/")
    role = folders[position]
    if split_of(f"{role}/x.png"):  # train_masks
        role = re.sub(r"^[A-Za-z]+?(?=[_\-. ])|(?<=[_\-. ])[A-Za-z]+$", _split_word, role)
    return _File(path, tuple(folders[:position]), role, tuple(folders[position + 1 :]), stem(path))


def _split_word(found: re.Match[str]) -> str:
    return "{split}" if split_of(f"{found[0]}/x.png") else found[0]


def _between(images: Sequence[_File], masks: Sequence[_File]) -> Iterator[Layout]:
    """Layouts with images in one folder and masks in another: paired by name, or all in the folder of their image."""
    for before, of_mask in _affixes([file.stem for file in images], [file.stem for file in masks]):
        yield Layout(
            _pattern(images, _folders(images, "{folder}"), f"{before[0]}{{id}}{before[1]}"),
            _pattern(masks, _folders(masks, "{folder}"), f"{of_mask[0]}{{id}}{of_mask[1]}"),
        )
    owners = [file.before for file in images]
    if len(images) == len(set(owners)) > 1 and {file.before for file in masks} & set(owners):
        yield Layout(
            "/".join([*_folders(images, "{id}"), images[0].role, "*"]),
            "/".join([*_folders(masks, "{id}"), masks[0].role, "*"]),
        )


def _side_by_side(files: Sequence[_File]) -> Iterator[Layout]:
    """Layouts with images and masks in the same folders, told by their names."""
    masks = [file for file in files if _ends(file.stem, MASK_WORDS)]
    images = [file for file in files if not _ends(file.stem, MASK_WORDS)]
    if not masks or not images:
        return
    alone = {file.stem for file in masks}
    if len(alone) == 1 and len({file.stem for file in images}) == 1:  # each in a folder of its own
        yield Layout(f"{{id}}/{images[0].stem}", f"{{id}}/{masks[0].stem}")
        return
    for before, of_mask in _affixes([file.stem for file in images], [file.stem for file in masks]):
        if (before, of_mask) != (("", ""), ("", "")):
            prefix = "{folder}/" if (before[0] or of_mask[0]) and any(file.after for file in files) else ""
            yield Layout(f"{prefix}{before[0]}{{id}}{before[1]}", f"{prefix}{of_mask[0]}{{id}}{of_mask[1]}")


def _ends(name: str, words: frozenset[str]) -> bool:
    """Whether a file's name begins or ends with one of the words, a number apart."""
    tokens = _TOKEN.findall(_NUMBER.sub("", name))
    return bool(tokens) and bool({tokens[0].lower(), tokens[-1].lower()} & words)


def _affixes(images: Sequence[str], masks: Sequence[str]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """What stands before and after the id in the names of images and of masks; the likeliest of each kind."""
    for of_image in dict.fromkeys([("", ""), _shared(images)]):
        cores = {name[len(of_image[0]) : len(name) - len(of_image[1])] for name in images}
        seen = [affix for name in masks[:: -(-len(masks) // COMPARED)] if (affix := _affix(name, cores))]
        if seen:
            (before, after), _ = Counter((before, _NUMBER.sub("", after)) for before, after in seen).most_common(1)[0]
            numbers = [each for _, each in seen if _NUMBER.search(each) and _NUMBER.sub("", each) == after]
            separator = re.match(r"[_\-. ]*", numbers[0])[0] if numbers and not after else ""  # type: ignore[index]
            yield of_image, (before, f"{after}{separator}*" if numbers else after)


def _affix(name: str, cores: set[str]) -> tuple[str, str] | None:
    """What a mask's name has before and after that of an image; None where it has that of no image in it."""
    if name in cores:
        return "", ""
    within = max((core for core in cores if core in name), key=len, default="")
    if not within:
        return None
    before, _, after = name.partition(within)
    return before, after


def _shared(names: Sequence[str]) -> tuple[str, str]:
    """A word for images, with its separator, that all names begin or end with."""
    first, last = names[0], names[0]
    begins, ends = re.match(r"[A-Za-z]+[_\-. ]+", first), re.search(r"[_\-. ]+[A-Za-z]+$", last)
    if begins and words_of(begins[0]) & IMAGE_WORDS and all(name.startswith(begins[0]) for name in names):
        return begins[0], ""
    if ends and words_of(ends[0]) & IMAGE_WORDS and all(name.endswith(ends[0]) for name in names):
        return "", ends[0]
    return "", ""


def _pattern(files: Sequence[_File], folders: Sequence[str], name: str) -> str:
    role = [files[0].role] if files[0].role else []
    return "/".join([*folders, *role, *_below([file.after for file in files], affixed=name != "{id}"), name])


def _folders(files: Sequence[_File], varying: str) -> list[str]:
    """The folders before the one that says what a file is: themselves where all files share them."""
    return generalised([file.before for file in files], varying)


def generalised(folders: Sequence[Folders], varying: str) -> list[str]:
    """Folders that files lie in as parts of a pattern: where they differ `{split}`, or what `varying` is."""
    if len({len(each) for each in folders}) > 1:
        return [varying]
    parts = []
    for names in zip(*folders, strict=True):
        if len(set(names)) == 1:
            parts.append(names[0])
        elif all(split_of(f"{name}/x.png") for name in names):
            parts.append("{split}")
        else:
            parts.append(varying)
    return [part for position, part in enumerate(parts) if part != varying or position == _last(parts, varying)]


def _last(parts: Sequence[str], varying: str) -> int:
    return len(parts) - 1 - list(reversed(parts)).index(varying)


def _below(folders: Sequence[Folders], *, affixed: bool) -> list[str]:
    """Folders below the one that says what a file is: a split, then classes where all files lie in one of several."""
    found, rest = [], list(folders)
    if rest and all(each and split_of(f"{each[0]}/x.png") for each in rest):
        found, rest = ["{split}"], [each[1:] for each in rest]
    if all(rest) and 1 < len({each[0] for each in rest}) <= len(rest) / 2:
        found, rest = [*found, "{class}"], [each[1:] for each in rest]
    # What lies deeper belongs to the id; before a prefix it needs a name of its own.
    return [*found, "{folder}"] if affixed and all(rest) and rest else found


def _counted(layout: Layout, pictures: Sequence[str]) -> Layout:
    pairs, alone = paired(Pattern(layout.images), Pattern(layout.masks), pictures)
    return layout._replace(worth=sum(map(len, pairs.values())) - len(alone))


def path_labels(values: Mapping[str, str]) -> dict[str, str]:
    """The labels that the parts of a path give: `split` as train, validation or test; `class` as it is."""
    labels = {"class": values["class"]} if "class" in values else {}
    if "split" in values and (part := split_of(f"{values['split']}/x.png")):
        labels["split"] = part
    return labels
