"""Settings: sources, precedence, all problems at once."""

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings, default_state_dir, describe, load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SIGHTLINE_"):
            monkeypatch.delenv(name)


def toml(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "sightline.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_defaults_are_the_laws_numbers() -> None:
    settings = load()
    assert settings.poll.cadence_s == 30.0
    assert settings.poll.connect_s == 2.0
    assert settings.poll.check_s == 3.0
    assert settings.poll.recheck_s == 5.0
    assert settings.poll.recheck_rate == 400
    assert settings.judge.confirm_failures == 3
    assert settings.judge.confirm_span_s == 10.0
    assert settings.judge.blind_after_s == 15.0
    assert (settings.judge.flap_losses, settings.judge.flap_window_s) == (4, 1800.0)
    assert settings.judge.flap_calm_s == 600.0
    assert (settings.judge.node_children, settings.judge.node_siblings) == (3, 16)
    assert settings.judge.rollup_every_s == 300.0
    assert settings.store.audit_days == 400


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    settings = load(toml(tmp_path, "[poll]\ncadence_s = 10\n"))
    assert settings.poll.cadence_s == 10.0
    assert settings.poll.slots == Settings().poll.slots


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_POLL__CADENCE_S", "20")
    assert load(toml(tmp_path, "[poll]\ncadence_s = 10\n")).poll.cadence_s == 20.0


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://u:hunter2@h/d\n", encoding="utf-8")
    monkeypatch.setenv("SIGHTLINE_STORE__DSN_FILE", str(secret))
    settings = load(toml(tmp_path, '[store]\ndsn = "memory:"\n'))
    assert settings.store.dsn.get_secret_value() == "postgresql://u:hunter2@h/d"
    assert "hunter2" not in repr(settings)


def test_the_environment_wins_over_a_secret_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("memory:file", encoding="utf-8")
    monkeypatch.setenv("SIGHTLINE_STORE__DSN_FILE", str(secret))
    monkeypatch.setenv("SIGHTLINE_STORE__DSN", "memory:environment")
    assert load().store.dsn.get_secret_value() == "memory:environment"


def test_a_setting_named_file_is_not_a_secret_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_KEYS__FILE", str(tmp_path / "keys"))
    assert load().keys.file == tmp_path / "keys"


def test_a_setting_that_names_a_file_stays_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CENTER__SECRET_FILE", str(tmp_path / "center.secret"))
    monkeypatch.setenv("SIGHTLINE_EVENTS__PUSH_KEY_FILE", str(tmp_path / "push.key"))
    settings = load()
    assert str(settings.center.secret_file) == str(tmp_path / "center.secret")
    assert str(settings.events.push_key_file) == str(tmp_path / "push.key")


def test_a_missing_secret_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_STORE__DSN_FILE", "/no/such/file")
    with pytest.raises(SettingsError, match="SIGHTLINE_STORE__DSN_FILE"):
        load()


def test_all_problems_are_reported_at_once_with_key_and_reason(tmp_path: Path) -> None:
    text = "[poll]\ncadence_s = -1\nslotz = 3\n[web]\nport = 99999\n"
    with pytest.raises(SettingsError) as caught:
        load(toml(tmp_path, text))
    keys = {problem.split(":")[0] for problem in caught.value.problems}
    assert keys == {"poll.cadence_s", "poll.slotz", "web.port"}
    assert any("99999" in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[poll]\nconnect_s = 4\ncheck_s = 3\n", "poll.connect_s"),
        ("[poll]\ncadence_s = 3\ncheck_s = 3\n", "poll.check_s"),
        ('[network]\ncanaries = ["core-switch"]\n', "network.canaries"),
        ('[network]\ncanaries = ["core:port"]\n', "network.canaries"),
        ("store = 5\n", "store"),
        ("[nothing]\nx = 1\n", "nothing"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(toml(tmp_path, text))
    assert any(key in problem for problem in caught.value.problems)


def test_canaries_are_addresses(tmp_path: Path) -> None:
    settings = load(toml(tmp_path, '[network]\ncanaries = ["10.0.0.1:22", "[fe80::1]:80"]\n'))
    assert settings.network.canaries == ("10.0.0.1:22", "[fe80::1]:80")


def test_a_problem_of_a_secret_does_not_show_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(toml(tmp_path, "[store]\ndsn = [1234567]\n"))
    assert "1234567" not in str(caught.value)


def test_a_section_that_is_no_table_with_a_secret_file_is_a_problem_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("memory:", encoding="utf-8")
    monkeypatch.setenv("SIGHTLINE_STORE__DSN_FILE", str(secret))
    with pytest.raises(SettingsError, match="store"):
        load(toml(tmp_path, "store = 5\n"))


def test_a_file_that_is_not_there_or_not_toml_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load(toml(tmp_path, "[poll\n"))
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b"# \xff\n")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load(broken)


def test_where_the_state_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_state_dir() == Path("/var/lib/sightline")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "sightline"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / ".local/state/sightline"


def test_every_setting_has_a_meaning() -> None:
    rows = describe()
    assert len(rows) > 30
    assert all(meaning for _, _, meaning in rows)
    assert not any("SecretStr" in default or "***" in default for _, default, _ in rows)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[poll]\nslotz = 3\n", "poll.slotz: there is no such setting (is 3)"),
        ("[poll]\ncadence_s = -1\n", "poll.cadence_s: must be more than 0 (is -1)"),
        ("[poll]\ncadence_s = 'x'\n", "poll.cadence_s: must be a number (is 'x')"),
        ("[poll]\nslots = 1.5\n", "poll.slots: must be a whole number (is 1.5)"),
        ("[judge]\nconfirm_failures = 1\n", "judge.confirm_failures: must be at least 2 (is 1)"),
        ("[web]\nport = 70000\n", "web.port: must be at most 65535 (is 70000)"),
        ("[web]\nhost = 5\n", "web.host: must be text (is 5)"),
        ("[network]\nvirtual = 'maybe'\n", "network.virtual: must be true or false (is 'maybe')"),
        ("[network]\ncanaries = 5\n", "network.canaries: must be a list (is 5)"),
        ("[log]\nlevel = 'loud'\n",
         "log.level: must be one of debug, info, warning, error (is 'loud')"),
        ("store = 5\n", "store: must be a section of settings (is 5)"),
        ("[poll]\nconnect_s = 4\n", "poll.connect_s: must not exceed poll.check_s"),
    ],
)  # fmt: skip
def test_problems_are_told_in_plain_words(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(toml(tmp_path, text))
    assert caught.value.problems == [problem]


def test_each_recipient_has_a_section_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().known_recipients == ("center",)
    assert dict(load().reached_recipients) == {}
    monkeypatch.setenv("SIGHTLINE_RECIPIENTS__DUTY__SECRET_FILE", str(tmp_path / "duty.secret"))
    text = '[center]\nurl = "http://c/"\n[recipients.duty]\nurl = "http://d/"\nrate_per_s = 5\n'
    settings = load(toml(tmp_path, text))

    duty = settings.reached_recipients["duty"]
    assert list(settings.reached_recipients) == ["center", "duty"]
    assert (duty.url, duty.rate_per_s, duty.parallel) == ("http://d/", 5.0, 8)
    assert duty.secret_file == tmp_path / "duty.secret"
    assert "recipients.<name>.url" in {key for key, _, _ in describe()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[recipients.center]\nurl = 'http://d/'\n", "'center' is the name of another one"),
        ("[recipients.feed]\nurl = 'http://d/'\n", "'feed' is the name of another one"),
        ("[recipients.'digest:x']\nurl = 'http://d/'\n", "'digest:x' is no name"),
        ("[recipients.duty]\nrate_per_s = 5\n", "recipients.duty.url: is needed"),
        ("[recipients.duty]\nurl = ''\n", "recipients.duty.url: "),
        ("[recipients.duty]\nurl = 'http://d/'\ncolour = 1\n", "recipients.duty.colour: "),
        ("[recipients]\nduty = 1\n", "recipients.duty: "),
    ],
)
def test_what_is_wrong_with_a_recipient_is_said(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(toml(tmp_path, text))

    assert told in "\n".join(refused.value.problems)
