"""Montgomery and Shenzhen chest X-rays with lung masks: addresses, terms and published facts."""

from bakeoff.datasets.remote import RemoteFile

TITLE = "Montgomery and Shenzhen chest X-rays"
TASK = "segmentation"
CLASSES = ("background", "lung")
# Label columns; scores are broken down by each, and a stratified split keeps their shares.
STRATA = ("hospital", "diagnosis")
# Of a prepared image: 1 for grey levels, 3 for RGB.
CHANNELS = 1

FILES = (
    RemoteFile(
        name="chest-xray-masks-and-labels.zip",
        urls=("https://www.kaggle.com/api/v1/datasets/download/nikhilpandey360/chest-xray-masks-and-labels",),
        sha256=None,  # none is published
    ),
)

# Folders in the archive. It carries the same tree twice; these are of the one that counts.
IMAGES = "data/Lung Segmentation/CXR_png/"
MASKS = "data/Lung Segmentation/masks/"
# First letters of a file's name.
HOSPITALS = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}

# Images that the archive lists, and those with a mask by hospital.
PUBLISHED = {"listed": 800, "used": 704, "montgomery": 138, "shenzhen": 566}

LICENCE = (
    "X-rays: National Library of Medicine, free for research with the citation below. Shenzhen masks: CC BY-NC-SA 4.0."
)
CITATION = (
    "S. Jaeger, S. Candemir, S. Antani, Y.-X. J. Wáng, P.-X. Lu, G. Thoma. Two public chest X-ray datasets for "
    "computer-aided screening of pulmonary diseases. Quantitative Imaging in Medicine and Surgery 4(6):475-477, 2014. "
    "Shenzhen masks: S. Stirenko et al. Chest X-ray analysis of tuberculosis by deep learning with segmentation and "
    "augmentation. IEEE ELNANO, 422-428, 2018."
)
