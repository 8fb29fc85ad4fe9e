"""Wrapping keys by versions of a key-encryption key that stands in a file."""

import hmac
from itertools import islice
from pathlib import Path

import orjson
import pytest

from infra.custody.providers import key_provider
from infra.keys import CURRENT, OPEN, RETIRED, FileKeyProvider, KeyRing, KeyUnusable, nonces, version_of
from infra.settings import Settings, SettingsError

KEY = b"k" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    FileKeyProvider.generate(path)
    return path


def states(provider: FileKeyProvider) -> dict[str, str]:
    return {each.name: each.state for each in provider.versions()}


def test_a_key_unwraps_where_it_belongs_and_nowhere_else(path: Path) -> None:
    provider = FileKeyProvider(path)
    wrapped = provider.wrap(KEY, b"here")
    assert provider.unwrap(wrapped, b"here") == KEY
    with pytest.raises(KeyUnusable, match="does not open"):
        provider.unwrap(wrapped, b"there")


def test_a_wrapped_key_says_which_version_wrapped_it(path: Path) -> None:
    provider = FileKeyProvider(path)
    assert version_of(provider.wrap(KEY, b""))[0] == "1"
    provider.add_version()
    assert version_of(provider.wrap(KEY, b""))[0] == "2"


def test_a_version_before_still_unwraps_until_it_is_retired(path: Path) -> None:
    provider = FileKeyProvider(path)
    wrapped = provider.wrap(KEY, b"")
    assert provider.add_version() == "2"
    assert states(provider) == {"1": OPEN, "2": CURRENT}
    assert provider.unwrap(wrapped, b"") == KEY
    provider.retire("1")
    assert states(provider) == {"2": CURRENT, "1": RETIRED}
    with pytest.raises(KeyUnusable, match="'1' was retired"):
        provider.unwrap(wrapped, b"")


def test_nothing_of_a_retired_version_stays_in_the_file(path: Path) -> None:
    key = orjson.loads(path.read_bytes())["keys"]["1"]
    provider = FileKeyProvider(path)
    provider.add_version()
    provider.retire("1")
    assert key.encode() not in path.read_bytes()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_version_that_wraps_cannot_be_retired(path: Path) -> None:
    with pytest.raises(KeyUnusable, match="rotate first"):
        FileKeyProvider(path).retire("1")


def test_names_of_retired_versions_are_not_given_again(path: Path) -> None:
    provider = FileKeyProvider(path)
    provider.add_version()
    provider.retire("1")
    assert provider.add_version() == "3"


def test_a_running_process_hears_of_a_rotation(path: Path) -> None:
    running, custodian = FileKeyProvider(path), FileKeyProvider(path)
    before = running.wrap(KEY, b"")
    custodian.add_version()
    assert running.unwrap(custodian.wrap(KEY, b""), b"") == KEY
    assert version_of(running.wrap(KEY, b""))[0] == "2"
    custodian.retire("1")
    assert version_of(running.wrap(KEY, b""))[0] == "2"
    with pytest.raises(KeyUnusable, match="was retired"):
        running.unwrap(before, b"")


def test_an_old_copy_of_the_file_does_not_open_what_was_wrapped_since(path: Path) -> None:
    copy = path.with_name("copy.json")
    copy.write_bytes(path.read_bytes())
    provider = FileKeyProvider(path)
    provider.add_version()
    with pytest.raises(KeyUnusable, match="'2' is not in the key file"):
        FileKeyProvider(copy).unwrap(provider.wrap(KEY, b""), b"")


@pytest.mark.parametrize("parts", [("receipt", "/nhs/england/RXX", "é"), ("x" * 200,), ("",), ()])
def test_a_digest_is_hmac_sha_256_under_the_index_key(path: Path, parts: tuple[str, ...]) -> None:
    provider = FileKeyProvider(path)
    expected = hmac.digest(provider.index_key(), "\x00".join(parts).encode(), "sha256")
    keys = KeyRing(provider)
    assert [keys.digest(*parts) for _ in range(2)] == [expected[:16]] * 2


def test_identifiers_are_found_as_before_after_a_rotation(path: Path) -> None:
    before = KeyRing(FileKeyProvider(path)).digest("identifier", "x")
    FileKeyProvider(path).add_version()
    assert KeyRing(FileKeyProvider(path)).digest("identifier", "x") == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"current": "2", "keys": {"1": "AA=="}, "index": "AA=="}'])
def test_a_spoilt_file_is_said_to_be_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(KeyUnusable, match="cannot be read"):
        FileKeyProvider(path)


def test_a_file_that_is_there_is_never_overwritten(path: Path) -> None:
    with pytest.raises(FileExistsError):
        FileKeyProvider.generate(path)


def provider_of_tests(settings: Settings) -> FileKeyProvider:
    return FileKeyProvider(settings.data_dir / "keys.json")


def test_the_settings_choose_the_provider(path: Path) -> None:
    ours = Settings(environment="development", data_dir=path.parent, key_file=path)
    theirs = Settings(environment="development", data_dir=path.parent, key_provider=f"{__name__}:provider_of_tests")
    assert key_provider(ours).index_key() == key_provider(theirs).index_key()


@pytest.mark.parametrize("named", ["vault", "no.such.module:make", "infra.keys:nothing", ":"])
def test_a_provider_that_is_not_there_is_named(named: str) -> None:
    with pytest.raises(SettingsError, match="KEY_PROVIDER"):
        key_provider(Settings(environment="development", key_provider=named))


def test_no_nonce_is_given_twice() -> None:
    assert len({*islice(nonces(), 100), *islice(nonces(), 100)}) == 200
    assert {len(each) for each in islice(nonces(), 100)} == {12}
