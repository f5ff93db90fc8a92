"""Volumes of NIfTI and NumPy: HU and affine are kept, whatever the orientation, type and scale."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ipv2_bench.cli import main
from ipv2_bench.data.findings import Unusable
from ipv2_bench.data.formats.volumes import read_volume
from tests.data.dicom.ct_series import save, slice_of

CODES = ("LPS", "RAS", "LAS", "PSR", "SRP", "IAL")


def anatomy(n: int = 5, height: int = 12, width: int = 16) -> np.ndarray:
    """HU [n, H, W] from the feet up as CT is shown, whole numbers, like nothing of their mirror images."""
    return np.random.default_rng(0).integers(-1000, 1500, (n, height, width)).astype(np.float32)


def nifti(
    path: Path, hu: np.ndarray, code: str, dtype: str = "int16", slope: float = 1.0, inter: float = 0.0
) -> nibabel.Nifti1Image:
    """The volume as a NIfTI file in an orientation, with an affine that says where it lies."""
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

    lps = hu.transpose(2, 1, 0)  # to the left, back and head
    affine = np.diag([-0.7, -0.7, 2.0, 1.0])
    affine[:3, 3] = 150.0, 120.0, -300.0
    turn = ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(code))
    data = nibabel.orientations.apply_orientation(lps, turn)
    image = nibabel.Nifti1Image(np.rint((data - inter) / slope).astype(dtype), affine @ inv_ornt_aff(turn, lps.shape))
    image.header.set_data_dtype(dtype)
    image.header.set_slope_inter(slope, inter)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return nibabel.load(path)


@pytest.mark.parametrize("code", CODES)
def test_slices_are_shown_as_ct_is_whatever_the_orientation(tmp_path: Path, code: str) -> None:
    hu = anatomy()
    nifti(tmp_path / "a.nii.gz", hu, code)
    volume = read_volume(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.hu, hu) and volume.pixel_mm == pytest.approx(0.7)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("dtype", "slope", "inter"), [("int16", 1.0, 0.0), ("uint16", 0.5, -1024.0), ("float32", 1.0, 0.0)])
def test_a_change_arrives_where_it_belongs_and_the_rest_is_kept(
    tmp_path: Path, code: str, dtype: str, slope: float, inter: float
) -> None:
    hu = anatomy()
    before = nifti(tmp_path / "a.nii", hu, code, dtype, slope, inter)
    change = np.zeros_like(hu)
    change[1, 2, 3], change[4, 10, 0] = 100.0, -40.0
    read_volume(tmp_path / "a.nii").write(tmp_path / "b.nii.gz", change)
    made = nibabel.load(tmp_path / "b.nii.gz")
    assert np.array_equal(made.affine, before.affine) and made.get_data_dtype() == np.dtype(dtype)
    assert (made.dataobj.slope, made.dataobj.inter) == (slope, inter)
    assert np.array_equal(read_volume(tmp_path / "b.nii.gz").hu, hu + change)
    moved = np.argwhere(np.asarray(made.dataobj.get_unscaled()) != np.asarray(before.dataobj.get_unscaled()))
    assert len(moved) == 2
    # The same point of the patient: LPS index (3, 2, 1) is 150 − 0.7·3 to the right, 120 − 0.7·2 to the front, −300 + 2 up.
    points = {tuple(np.round(made.affine @ [*index, 1.0], 2)[:3]) for index in moved}
    assert points == {(147.9, 118.6, -298.0), (150.0, 113.0, -292.0)}


@pytest.mark.parametrize("name", ["a.nii", "b/a.nii.gz", "a.npy", "a.npz"])
def test_volumes_are_denoised_into_files_of_their_kind(tmp_path: Path, name: str) -> None:
    hu = anatomy(height=32, width=32)
    hu[:, :4] = -2000  # outside of the field of view
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    if name.endswith("npy"):
        np.save(path, hu.astype(np.int16))
    elif name.endswith("npz"):
        np.savez_compressed(path, scan=hu.astype(np.int16))
    else:
        nifti(path, hu, "RAS")
    for denoiser in ("identity", "gaussian"):
        out = tmp_path / denoiser
        assert main(["denoise", str(tmp_path / "in"), str(out), "--checkpoint", denoiser, "--quiet"]) == 0
        made = read_volume(out / name).hu
        assert made.shape == hu.shape and (made[:, :4] == -2000).all()
        assert np.array_equal(made, hu) == (denoiser == "identity")
    if name.endswith("npz"):
        assert np.load(tmp_path / "gaussian" / name)["scan"].dtype == np.int16


def test_a_file_and_an_archive_are_inputs_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        save(slice_of(i), tmp_path / "series" / f"{i}.IMA")
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as file:
        for path in (tmp_path / "series").iterdir():
            file.write(path, f"exam/{path.name}")
    np.save(tmp_path / "v.npy", anatomy())
    for source, made in (("scan.zip", "exam/1.IMA"), ("series/0.IMA", "0.IMA"), ("v.npy", "v.npy")):
        out = tmp_path / f"out of {Path(source).name}"
        assert main(["denoise", str(tmp_path / source), str(out), "--checkpoint", "identity", "--quiet"]) == 0
        assert (out / made).is_file() and not (out / made).is_symlink()
    assert main(["check", str(tmp_path / "scan.zip"), "--quiet"]) == 0
    assert "3 slices in 1 series" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "v.npy"), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "1 volumes, for denoise alone" in said and "| v.npy | 5 | 16×12 | – |" in said and "no problem found" in said
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and no more")
    assert main(["denoise", str(tmp_path / "bad.zip"), str(tmp_path / "o"), "--checkpoint", "identity"]) == 2
    assert "bad.zip cannot be unpacked (BadZipFile)" in capsys.readouterr().err


def test_an_archive_stays_in_its_folder(tmp_path: Path) -> None:
    save(slice_of(0), tmp_path / "x.dcm")
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as file:
        file.write(tmp_path / "x.dcm", "../../escaped.dcm")
    assert main(["denoise", str(tmp_path / "scan.zip"), str(tmp_path / "out"), "--checkpoint", "identity", "--quiet"]) == 0
    assert (tmp_path / "out" / "escaped.dcm").is_file() and not list(tmp_path.parent.glob("escaped.dcm"))


BAD = {
    "several arrays": (lambda p: np.savez(p, a=anatomy(), b=anatomy()), "bad.npz", "holds 2 arrays; expected one volume"),
    "unit range": (lambda p: np.save(p, anatomy() * 0 + np.linspace(0, 1, 16)), "bad.npy", "lies between 0 and 1; expected HU"),
    "NaN": (lambda p: np.save(p, np.where(anatomy() > 0, np.nan, 1.0)), "bad.npy", "holds NaN or infinity"),
    "text": (lambda p: np.save(p, np.array(["a"])), "bad.npy", "is of type"),
    "four dimensions": (lambda p: np.save(p, np.zeros((2, 3, 4, 5))), "bad.npy", "has the shape 2×3×4×5"),
    "pickle": (lambda p: np.save(p, np.array([{}], dtype=object), allow_pickle=True), "bad.npy", "cannot be read (ValueError)"),
    "cut off": (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00"), "bad.npy", "cannot be read"),
    "no NIfTI": (lambda p: p.write_bytes(b"hello" * 100), "bad.nii", "cannot be read (ImageFileError)"),
    "constant": (lambda p: np.save(p, np.full((2, 4, 4), 7)), "bad.npy", "all values are 7"),
}


@pytest.mark.parametrize("case", BAD)
def test_volumes_that_are_none_are_named(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, name, message = BAD[case]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / name)
    np.save(tmp_path / "in" / "good.npy", anatomy())
    with pytest.raises(Unusable) as caught:
        read_volume(tmp_path / "in" / name)
    assert message in caught.value.problem.text
    assert main(["check", str(tmp_path / "in"), "--quiet"]) == 2
    assert f"{name}: " in (said := capsys.readouterr().out) and message in said
    assert main(["denoise", str(tmp_path / "in"), str(tmp_path / "out"), "--checkpoint", "identity", "--quiet"]) == 1
    shown = capsys.readouterr()
    assert f"{name}: " in shown.err and message in shown.err and (tmp_path / "out" / "good.npy").is_file()
