"""Data sets: what they hold, how files are verified, and what a reader is told when one cannot be had."""

import contextlib
import errno
import gzip
import hashlib
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pooch
import pytest
import torch
from sentences import one_sentence
from sklearn.mixture import GaussianMixture

from aevb_utils import data
from aevb_utils.data import download
from aevb_utils.data.download import DataError, DataUnavailableError, RemoteFile

module, simulated = (import_module(f"aevb_utils.data.{name}") for name in ("old_faithful", "simulated_mixture"))
DATA_DIR = os.environ.get("AEVB_DATA_DIR")
PUBLISHED = module._GEYSER

ROWS = 272
HEADER = "duration,waiting,kind"
LINES = [f"{1.6 + i / 100:.3f},{43 + i % 50},{'long' if i % 3 else 'short'}" for i in range(ROWS)]
CSV = "\n".join([HEADER, *LINES, ""]).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """A web server on this machine, with one answer for each path, that counts what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                answer = server.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def gives(self, path: str, content: bytes, *, announced: int | None = None) -> str:
        """Serve the content at the path, under a Content-Length that may announce more; return the address."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content) if announced is None else announced))
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.address(path)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def refused() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/geyser.csv"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _no_world(monkeypatch: pytest.MonkeyPatch, cache: Path, refused: str) -> None:
    """Keep each test off the user's cache and off the internet, in the full run's behavior."""
    for name in ("AEVB_DATA_DIR", "AEVB_REAL_DATA", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AEVB_CACHE_DIR", str(cache))
    monkeypatch.setattr("aevb_utils.budget.FAST", False)
    monkeypatch.setattr(module, "_GEYSER", RemoteFile("geyser.csv", (refused,), sha256(CSV), len(CSV)))


def serve_geyser(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    monkeypatch.setattr(module, "_GEYSER", RemoteFile("geyser.csv", urls, sha256(CSV), len(CSV)))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---- Simulated and bundled ----


def test_mixture_has_the_moments_of_its_parameters() -> None:
    mixture = data.simulated_mixture(60_000, seed=3)
    x, labels = mixture.train, mixture.train_labels
    assert labels is not None
    assert (x.shape, x.dtype, labels.shape, labels.dtype) == ((60_000, 2), torch.float64, (60_000,), torch.int64)
    assert mixture.test is None
    assert not mixture.fallback
    assert len(mixture.label_names) == 3
    assert len(mixture.feature_names) == 2
    for c in range(3):
        part = x[labels == c]
        assert len(part) / len(x) == pytest.approx(simulated.MIXTURE_WEIGHTS[c], abs=0.01)
        torch.testing.assert_close(part.mean(0), torch.tensor(simulated.MIXTURE_MEANS[c]).double(), atol=0.03, rtol=0)
        torch.testing.assert_close(
            torch.cov(part.T), torch.tensor(simulated.MIXTURE_COVARIANCES[c]).double(), atol=0.03, rtol=0
        )


def test_mixture_draws_from_its_own_generator() -> None:
    state = torch.get_rng_state()
    first, again, other = (data.simulated_mixture(50, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.train, again.train)
    assert first.train_labels is not None
    assert again.train_labels is not None
    assert torch.equal(first.train_labels, again.train_labels)
    assert not torch.equal(first.train, other.train)
    torch.manual_seed(123)
    assert torch.equal(first.train, data.simulated_mixture(50).train)


def test_mixture_takes_tensors_of_any_dimension_and_size() -> None:
    mixture = data.simulated_mixture(
        1, weights=torch.ones(1), means=torch.zeros(1, 5), covariances=torch.eye(5)[None], seed=0
    )
    assert mixture.train.shape == (1, 5)
    assert mixture.train_labels is not None
    assert mixture.train_labels.tolist() == [0]


I2 = ((1.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n": 0}, "at least 1 point"),
        ({"means": ((0.0, 0.0),)}, "shapes"),
        ({"covariances": (I2, I2)}, "shapes"),
        ({"weights": (0.5, 0.3, 0.3)}, "sum to one"),
        ({"weights": (0.5, 0.6, -0.1)}, "positive"),
        ({"weights": (0.5, 0.5, float("nan"))}, "positive"),
        ({"covariances": (I2, I2, ((1.0, 2.0), (2.0, 1.0)))}, "positive definite"),
        ({"covariances": (I2, I2, ((1.0, 0.5), (0.0, 1.0)))}, "symmetric"),
    ],
)
def test_mixture_refuses_what_is_no_mixture(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        data.simulated_mixture(**wrong)
    one_sentence(caught.value)


def test_iris() -> None:
    iris = data.iris()
    assert iris.train_labels is not None
    assert (iris.train.shape, iris.train.dtype, iris.train_labels.dtype) == ((150, 4), torch.float64, torch.int64)
    assert iris.train[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    assert iris.train_labels.bincount().tolist() == [50, 50, 50]
    assert iris.label_names == ("setosa", "versicolor", "virginica")
    assert all(name.endswith("(cm)") for name in iris.feature_names)
    assert iris.test is None
    assert iris.test_labels is None


def test_wine_is_standardized() -> None:
    wine = data.wine()
    assert wine.train_labels is not None
    assert (wine.train.shape, wine.train.dtype, wine.train_labels.dtype) == ((178, 13), torch.float64, torch.int64)
    torch.testing.assert_close(wine.train.mean(dim=0), torch.zeros(13, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(wine.train.square().mean(dim=0), torch.ones(13, dtype=torch.float64))
    assert wine.train_labels.bincount().tolist() == [59, 71, 48]
    assert wine.label_names == ("cultivar 1", "cultivar 2", "cultivar 3")
    assert wine.feature_names[0] == "alcohol"
    assert wine.train[0, 0].item() == pytest.approx(1.5186, abs=1e-4)  # 14.23 % alcohol, mean 13.00, deviation 0.81


def test_digits() -> None:
    digits, again = data.digits(), data.digits()
    assert digits.test is not None
    assert again.test is not None
    assert digits.train_labels is not None
    assert digits.test_labels is not None
    assert (digits.train.shape, digits.test.shape) == ((1437, 64), (360, 64))
    assert torch.equal(digits.train, again.train)
    assert torch.equal(digits.test, again.test)
    both = torch.cat([digits.train, digits.test])
    assert (both.min(), both.max(), both.dtype) == (0, 16, torch.float64)
    assert torch.equal(both, both.round())
    counts = torch.cat([digits.train_labels, digits.test_labels]).bincount()
    assert (digits.train_labels.bincount() / counts - 0.8).abs().max() < 0.005  # stratified
    assert "0 to 16" in digits.values
    assert len(digits.feature_names) == 64
    # labels belong to their rows: the class means tell nine held-out digits of ten
    means = torch.stack([digits.train[digits.train_labels == c].mean(0) for c in range(10)])
    guesses = torch.cdist(digits.test, means).argmin(1)
    assert (guesses == digits.test_labels).double().mean() > 0.85


def test_a_data_set_says_in_one_line_what_it_is_and_cannot_be_changed() -> None:
    iris = data.iris()
    assert repr(iris) == "Dataset('Iris', train (150, 4), no test part: a length in cm)"
    assert "test (360, 64)" in repr(data.digits())
    with pytest.raises(AttributeError):
        iris.name = "other"  # type: ignore[misc]
    assert iris != data.iris()  # the same object or not: tensors have no single truth value


# ---- Old Faithful ----


def test_fast_run_gets_a_stand_in_and_asks_for_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aevb_utils.budget.FAST", True)
    monkeypatch.setenv("AEVB_REAL_DATA", "1")
    monkeypatch.setenv("AEVB_DATA_DIR", "/nowhere")
    geyser, again = data.old_faithful(), data.old_faithful()
    assert capsys.readouterr().out == ""
    assert geyser.fallback
    assert "imulated" in geyser.name
    assert "Simulated" in geyser.source
    assert torch.equal(geyser.train, again.train)
    assert geyser.train.shape == (ROWS, 2)
    assert geyser.train.dtype == torch.float64
    assert (geyser.train > 0).all()
    assert geyser.feature_names == ("duration (min)", "waiting (min)")
    labels = geyser.train_labels
    assert labels is not None
    assert geyser.label_names == ("short", "long")
    assert labels.double().mean().item() == pytest.approx(0.644, abs=0.06)
    assert geyser.train[labels == 0].mean(0).tolist() == pytest.approx([2.036, 54.48], rel=0.03)
    assert geyser.train[labels == 1].mean(0).tolist() == pytest.approx([4.290, 79.97], rel=0.03)


def test_geyser_parser_keeps_rows_order_and_kinds() -> None:
    x, labels = module._parse_geyser(CSV)
    assert labels is not None
    assert x.dtype == torch.float64
    assert labels.dtype == torch.int64
    assert [f"{a:.3f},{b:.0f}" for a, b in x.tolist()] == [line.rsplit(",", 1)[0] for line in LINES]
    assert labels.tolist() == [0 if line.endswith("short") else 1 for line in LINES]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with ''"),
        (b"\n" + CSV, "begins with ''"),
        (CSV.replace(b"duration", b"length", 1), "length,waiting,kind"),
        (CSV.split(b"\n", 1)[1], "should begin with"),
        (b"\xff\xfe" + CSV, "comma-separated text"),
        (CSV.replace(LINES[3].encode(), LINES[3].encode() + b",1"), "Line 5 of"),
        (CSV.replace(LINES[0].encode(), b"3.6,79"), "Line 2 of"),
        (CSV.replace(LINES[0].encode(), b""), "Line 2 of"),
        (CSV.replace(LINES[0].encode(), b"many,79,long"), "many,79,long"),
        (CSV.replace(LINES[0].encode(), b"nan,79,long"), "nan,79,long"),
        (CSV.replace(LINES[0].encode(), b"3.6,inf,long"), "3.6,inf,long"),
        (CSV.replace(LINES[0].encode(), b"-3.6,79,long"), "-3.6,79,long"),
        (CSV.replace(LINES[0].encode(), b"3.6,79,middling"), "middling"),
        (CSV[: CSV.rindex(b"\n", 0, -1) + 1], "has 271"),
        (CSV + b"3.6,79,long\n", "has 273"),
        (HEADER.encode(), "has 0"),
        (CSV[:-3], "Line 273 of"),
    ],
)
def test_geyser_parser_refuses_a_malformed_table(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        module._parse_geyser(content)
    message = one_sentence(caught.value)
    assert said in message
    assert "fresh copy" in message


def test_the_published_file_is_named_with_its_checksum() -> None:
    assert PUBLISHED.sha256 == "ce8f6bd15967c9a3dee345aaf268f6b92623abb1e1d313e04d79b720aa6b8bd6"
    assert all(url.startswith("https://") and url.endswith("geyser.csv") for url in PUBLISHED.urls)


@pytest.mark.skipif(DATA_DIR is None, reason="AEVB_DATA_DIR does not name a folder with the real files")
def test_real_old_faithful(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AEVB_DATA_DIR", str(DATA_DIR))
    monkeypatch.setattr(module, "_GEYSER", PUBLISHED)
    geyser = data.old_faithful()
    assert capsys.readouterr().out == ""
    assert not geyser.fallback
    assert geyser.name == "Old Faithful"
    assert geyser.train[:3].tolist() == [[3.6, 79.0], [1.8, 54.0], [3.333, 74.0]]
    assert geyser.train_labels is not None
    assert geyser.train_labels[:3].tolist() == [1, 0, 1]
    assert geyser.train_labels.bincount().tolist() == [100, 172]
    x = geyser.train.numpy()
    fitted = GaussianMixture(2, tol=1e-12, reg_covar=0, max_iter=1000, n_init=3, random_state=0).fit(x)
    assert fitted.score(x) * len(x) == pytest.approx(-1130.264, abs=1e-3)
    # the stand-in's parameters are this fit's, to the digits written down
    drawn: dict = {}
    monkeypatch.setattr(module, "simulated_mixture", lambda n, **given: drawn.update(given) or data.iris())
    module._simulate_geyser()
    order = fitted.means_[:, 0].argsort()
    assert list(drawn["weights"]) == pytest.approx(fitted.weights_[order], abs=6e-6)
    assert torch.tensor(drawn["means"]).flatten().tolist() == pytest.approx(fitted.means_[order].ravel(), abs=6e-5)
    assert torch.tensor(drawn["covariances"]).flatten().tolist() == pytest.approx(
        fitted.covariances_[order].ravel(), abs=6e-6, rel=1e-7
    )


# ---- AEVB_DATA_DIR ----


def test_data_dir_comes_first_and_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "geyser.csv").write_bytes(CSV)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    geyser = data.old_faithful()
    assert not geyser.fallback
    assert str(tmp_path) not in geyser.source
    assert capsys.readouterr().out == ""
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", CSV[:-1], CSV[: len(CSV) // 2], CSV.replace(b"1.600", b"1.601"), b"<html>"])
def test_wrong_content_in_data_dir_is_an_error_and_is_never_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, content: bytes
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    path = tmp_path / "geyser.csv"
    path.write_bytes(content)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="fresh copy") as caught:
        data.old_faithful()
    message = one_sentence(caught.value)
    assert str(path) in message
    assert sha256(CSV)[:12] in message
    assert sha256(content)[:12] in message
    assert path.read_bytes() == content
    assert server.asked == []


def test_data_dir_that_is_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path / name))
        with pytest.raises(DataError, match="should name a folder") as caught:
            data.old_faithful()
        assert str(tmp_path / name) in one_sentence(caught.value)


def test_an_empty_data_dir_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    monkeypatch.setenv("AEVB_DATA_DIR", "")
    monkeypatch.chdir(tmp_path)
    Path("geyser.csv").write_bytes(b"another file of that name")
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(CSV)
    assert not data.old_faithful().fallback


def test_a_folder_in_place_of_the_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "geyser.csv").mkdir()
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="should be a file, but is none") as caught:
        data.old_faithful()
    one_sentence(caught.value)


def test_data_dir_without_the_file_goes_on_to_the_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, cache: Path
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path / "empty"))
    assert not data.old_faithful().fallback
    assert files_in(cache) == ["geyser.csv"]
    assert files_in(tmp_path / "empty") == []


# ---- Cache and download ----


def test_download_is_cached_and_silent(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger=pooch.get_logger().name)  # put back after the test
    monkeypatch.setattr(pooch.get_logger(), "handlers", [caplog.handler])
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    first, second = data.old_faithful(), data.old_faithful()
    assert not first.fallback
    assert torch.equal(first.train, second.train)
    assert torch.equal(first.train, module._parse_geyser(CSV)[0])
    assert server.asked == ["/geyser.csv"]
    assert files_in(cache) == ["geyser.csv"]
    assert (cache / "geyser.csv").read_bytes() == CSV
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


def test_the_cache_is_the_users_own_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    monkeypatch.delenv("AEVB_CACHE_DIR")
    asked: list[str] = []
    monkeypatch.setattr(pooch, "os_cache", lambda name: asked.append(name) or tmp_path / "own")
    assert not data.old_faithful().fallback
    assert asked == ["aevb"]
    assert files_in(tmp_path / "own") == ["geyser.csv"]


def test_mirrors_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch, server: Server, refused: str, cache: Path) -> None:
    serve_geyser(
        monkeypatch,
        refused,
        server.address("/missing"),
        server.gives("/wrong", b"<html>Sign in</html>"),
        server.gives("/short", CSV[:100], announced=len(CSV)),
        server.gives("/whole", CSV),
        server.gives("/unneeded", CSV),
    )
    assert not data.old_faithful().fallback
    assert server.asked == ["/missing", "/wrong", "/short", "/whole"]
    assert files_in(cache) == ["geyser.csv"]


@pytest.mark.parametrize(
    ("content", "announced", "said"),
    [
        (b"<html>Sign in</html>", None, "sent other content"),
        (CSV[:-1], None, "sent other content"),  # cut short, and the server does not know it
        (CSV[:-1], len(CSV), "broke off"),  # cut short against the announced length
        (b"", None, "sent other content"),
        (gzip.compress(CSV)[:-9], None, "sent other content"),
    ],
)
def test_a_wrong_or_half_download_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, content: bytes, announced: int | None, said: str
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", content, announced=announced))
    with pytest.raises(DataUnavailableError, match=said) as caught:
        download.fetch(module._GEYSER)
    assert "127.0.0.1" in one_sentence(caught.value)
    assert files_in(cache) == []
    server.gives("/geyser.csv", CSV)
    assert download.fetch(module._GEYSER) == CSV


def test_an_interrupted_download_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    half = len(CSV) // 2

    def interrupted(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:half])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.old_faithful()
    assert files_in(cache) == []
    assert not data.old_faithful().fallback


@pytest.mark.parametrize("damaged", [b"", CSV[:-1], b"\0" * len(CSV)])
def test_a_damaged_cached_file_is_downloaded_again(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, damaged: bytes
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(damaged)
    assert not data.old_faithful().fallback
    assert server.asked == ["/geyser.csv"]
    assert (cache / "geyser.csv").read_bytes() == CSV


def test_a_damaged_cached_file_that_cannot_be_downloaded_again_is_said_to_be_damaged(cache: Path) -> None:
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(CSV[:-1])
    with pytest.raises(DataUnavailableError, match="is damaged") as caught:
        download.fetch(module._GEYSER)
    assert str(cache / "geyser.csv") in one_sentence(caught.value)


def test_a_whole_cached_file_needs_neither_network_nor_a_writable_cache(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(CSV)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", lambda *_, **__: pytest.fail("the cache was written"))
    assert not data.old_faithful().fallback


def test_gzip_files_are_verified_by_content(server: Server, cache: Path, tmp_path: Path) -> None:
    """The wrapper differs from mirror to mirror; the content does not."""
    content = bytes(range(256)) * 50
    fast, slow = gzip.compress(content, 1, mtime=1), gzip.compress(content, 9, mtime=2)
    assert fast != slow
    for number, wrapper in enumerate((fast, slow, content)):  # a web server may also unpack on its own
        url = server.gives(f"/{number}/images-ubyte.gz", wrapper)
        file = RemoteFile(f"images/{number}-ubyte.gz", (url,), sha256(content), len(content))
        assert download.fetch(file) == content
        assert download.fetch(file) == content
    assert len(server.asked) == 3
    assert files_in(cache) == ["images/0-ubyte", "images/1-ubyte", "images/2-ubyte"]


def test_gzip_files_in_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: str) -> None:
    content = bytes(range(256)) * 50
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    file = RemoteFile("images/train-ubyte.gz", (refused,), sha256(content), len(content))
    path = tmp_path / "images" / "train-ubyte.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(content))
    assert download.fetch(file) == content
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:30], whole[:40] + b"\xff\xff\xff\xff" + whole[44:], whole[:2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="truncated or damaged") as caught:
            download.fetch(file)
        assert str(path) in one_sentence(caught.value)
        assert not isinstance(caught.value, DataUnavailableError)


# ---- Limits of a download ----


class Drip:
    """An answer that comes a byte at a time, until the test is over."""

    def __init__(self, start: bytes, *, after_headers: bool) -> None:
        self.start, self.after_headers, self.over = start, after_headers, threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if self.after_headers:
            handler.send_response(200)
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        handler.wfile.write(self.start)
        with contextlib.suppress(OSError):  # the client may hang up
            while not self.over.wait(0.02):
                handler.wfile.write(b"x")


@pytest.mark.parametrize("after_headers", [True, False])
def test_a_server_that_drips_is_given_up_in_time_and_the_next_mirror_is_asked(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, after_headers: bool
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.3)  # the bytes come in time, each of them
    server.answers["/drip"] = drip = Drip(b"", after_headers=after_headers)
    serve_geyser(monkeypatch, server.address("/drip"), server.address("/missing"))
    start = time.monotonic()
    try:
        with pytest.raises(DataUnavailableError, match=r"had not sent all of it after 0\.9\d* s") as caught:
            download.fetch(module._GEYSER)
    finally:
        drip.over.set()
    assert time.monotonic() - start < 5
    assert "answered with status 404" in one_sentence(caught.value)
    assert files_in(cache) == []


@pytest.mark.parametrize("announced", [None, 10**12])
def test_more_bytes_than_the_file_can_have_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, announced: int | None
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if announced is not None:
            handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        with contextlib.suppress(OSError):  # the client may hang up
            handler.wfile.write(CSV + b" " * 200_000)

    server.answers["/geyser.csv"] = answer
    serve_geyser(monkeypatch, server.address("/geyser.csv"))
    with pytest.raises(DataUnavailableError, match=f"sends more than the {module._GEYSER.largest:,} bytes") as caught:
        download.fetch(module._GEYSER)
    one_sentence(caught.value)
    assert files_in(cache) == []


def test_a_server_that_compresses_on_its_own_is_understood(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = gzip.compress(CSV)
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server.answers["/geyser.csv"] = answer
    serve_geyser(monkeypatch, server.address("/geyser.csv"))
    assert download.fetch(module._GEYSER) == CSV


def test_a_gzip_bomb_is_never_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server) -> None:
    """50 MB of zeros, in 50 kB of gzip, in place of a file of 60 kB."""
    bomb = gzip.compress(bytes(50_000_000))
    file = RemoteFile("bomb.gz", (server.gives("/bomb.gz", bomb),), sha256(b""), 60_000)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    for said in ("sent other content than was published", "should have content of 60,000 bytes, but has more"):
        tracemalloc.start()
        with pytest.raises(DataError, match=said) as caught:
            download.fetch(file)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        one_sentence(caught.value)
        assert most < 2_000_000
        (tmp_path / "bomb.gz").write_bytes(bomb)  # for the second time


def test_what_a_killed_run_left_in_the_cache_is_cleared_away_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path
) -> None:
    cache.mkdir()
    for name, age in ((f"{download._PARTIAL}old", 7200), (f"{download._PARTIAL}new", 0), ("tmp_of_another", 7200)):
        (cache / name).write_bytes(b"half")
        os.utime(cache / name, (time.time() - age,) * 2)
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    assert download.fetch(module._GEYSER) == CSV
    assert files_in(cache) == [f"{download._PARTIAL}new", "geyser.csv", "tmp_of_another"]


@pytest.mark.parametrize("name", ["", "  ", '""'])
def test_a_blank_cache_folder_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("AEVB_CACHE_DIR", name)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "geyser.csv").write_bytes(CSV)
    assert download.fetch(module._GEYSER) == CSV


def test_a_relative_cache_folder_is_below_the_present_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEVB_CACHE_DIR", "here/below")
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    assert download.fetch(module._GEYSER) == CSV
    assert files_in(tmp_path) == ["here/below/geyser.csv"]


# ---- What cannot be had ----


def test_without_network_one_line_says_what_is_used_instead(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    geyser = data.old_faithful()
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("\n") == 1
    assert "geyser.csv could not be downloaded (127.0.0.1:" in said.out  # what happened
    assert "AEVB_DATA_DIR" in said.out  # what to do
    assert "272 rows simulated" in said.out  # what is used instead
    assert geyser.fallback
    monkeypatch.setattr("aevb_utils.budget.FAST", True)
    assert torch.equal(geyser.train, data.old_faithful().train)


def test_where_real_data_are_asked_for_a_fallback_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEVB_REAL_DATA", "1")
    with pytest.raises(DataError, match="could not be reached") as caught:
        data.old_faithful()
    assert "AEVB_DATA_DIR" in one_sentence(caught.value)
    assert capsys.readouterr().out == ""


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, then says nothing
        serve_geyser(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/geyser.csv")
        start = time.monotonic()
        with pytest.raises(DataUnavailableError, match=r"did not answer within 0\.2 s"):
            download.fetch(module._GEYSER)
    assert time.monotonic() - start < 3
    assert files_in(cache) == []


def test_a_certificate_file_that_is_missing_is_a_fault_of_the_connection(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
    serve_geyser(monkeypatch, server.address("/geyser.csv").replace("http", "https"))
    with pytest.raises(DataUnavailableError, match="could not be reached") as caught:
        download.fetch(module._GEYSER)
    one_sentence(caught.value)


@pytest.mark.parametrize(("status", "said"), [(404, "answered with status 404"), (503, "answered with status 503")])
def test_an_error_page_is_no_file(monkeypatch: pytest.MonkeyPatch, server: Server, status: int, said: str) -> None:
    server.answers["/geyser.csv"] = lambda handler: handler.send_error(status)
    serve_geyser(monkeypatch, server.address("/geyser.csv"))
    with pytest.raises(DataUnavailableError, match=said) as caught:
        download.fetch(module._GEYSER)
    one_sentence(caught.value)


def no_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"a file in place of the folder")


def below_a_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"a file")
    monkeypatch.setenv("AEVB_CACHE_DIR", str(cache / "below"))


def read_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(cache))

    monkeypatch.setattr("tempfile.NamedTemporaryFile", denied)


def cannot_be_made(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(cache))

    monkeypatch.setattr(Path, "mkdir", denied)


def full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_folder, "File exists"),
        (below_a_file, "Not a directory"),
        (read_only, "Permission denied"),
        (cannot_be_made, "Read-only file system"),
        (full_disk, "No space left on device"),
    ],
)
def test_a_cache_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    said: str,
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    with monkeypatch.context() as patch:
        spoil(cache, patch)
        geyser = data.old_faithful()
        line = capsys.readouterr().out
        patch.setenv("AEVB_REAL_DATA", "1")
        with pytest.raises(DataUnavailableError) as caught:
            data.old_faithful()
    assert geyser.fallback
    assert line.count("\n") == 1
    message = one_sentence(caught.value)
    assert message in line
    assert said in message
    assert f"cache folder {cache}" in message
    assert "AEVB_CACHE_DIR" in message
