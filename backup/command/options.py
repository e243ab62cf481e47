"""What the commands of `bkp` have in common: the configuration, ways to do without one, and how they end."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from backup.command.given_target import Given, given_target
from backup.errors import BackupError, ConfigInvalid
from backup.runtime.signals import cancelled_by_signals
from backup.settings.backup_set import SetSettings
from backup.settings.checks import check_name
from backup.settings.document import BackupSettings, read_settings
from backup.settings.keys import KeySettings

if TYPE_CHECKING:
    from collections.abc import Callable

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")
PLACES: Final = (Path("backup.toml"), Path("~/.config/watchkeep/backup.toml"), Path("/etc/watchkeep/backup.toml"))
VARIABLE: Final = "BKP_CONFIG"
DATA_VARIABLE: Final = "WATCHKEEP_DATA"  # as `watchkeep up` reads it
HOST_FILE, STATION_FILE = Path("backup/backup.toml"), Path("restore-station/backup.toml")  # where `up` puts them
PRUNER_FILE: Final = Path("pruner/backup.toml")


def config_option(command: CommandT) -> CommandT:
    """Add -c/--config, which the function gets as `config`: the file, or None where none was found.

    Last of all the host's file of a `watchkeep up` is looked for.
    """
    return _config_option(HOST_FILE)(command)


def station_config_option(command: CommandT) -> CommandT:
    """Add -c/--config as `config_option` does, but look for the restore station's file of a `watchkeep up`."""
    return _config_option(STATION_FILE)(command)


def pruner_config_option(command: CommandT) -> CommandT:
    """Add -c/--config as `config_option` does, but look for the pruner's file of a `watchkeep up`."""
    return _config_option(PRUNER_FILE)(command)


def _config_option(of_up: Path) -> Callable[[CommandT], CommandT]:
    def find(context: click.Context, parameter: click.Parameter, found: Path | None) -> Path | None:  # noqa: ARG001 - click's signature
        if found is not None:
            return found
        if named := os.environ.get(VARIABLE):
            return Path(named)
        places = (*(place.expanduser() for place in PLACES), _data() / of_up)
        return next((place for place in places if place.is_file()), None)

    return click.option(
        "-c",
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=find,
        is_eager=False,
        help=f"backup.toml; else ${VARIABLE}, then {', '.join(str(place) for place in PLACES)}, then {of_up} of"
        f" ${DATA_VARIABLE} or ./var.",
    )


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what commands need that read backups, also on a machine without a configuration.

    The function gets `settings`: the configuration with --target, --key and --work laid over it. Its BackupErrors, and
    those of reading the configuration, end the process as `ending` says.
    """

    @clearing
    @functools.wraps(command)
    def read(*, config: Path | None, key: Path | None, work: Path | None, **options: Any) -> Any:
        given = Given(target=options.pop("target"), more=options.pop("more"))
        return command(settings=settings_for_reading(config, given, key, work), **options)

    found: Callable[..., Any] = read
    for add in (
        click.option(
            "--work", type=click.Path(file_okay=False, path_type=Path), help="Folder for temporary files, private."
        ),
        click.option(
            "--key",
            "--keys",
            "key",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="A restore station's key folder; its passphrase lies beside it in FOLDER.passphrase.",
        ),
        click.option(
            "--with",
            "more",
            metavar="NAME=VALUE",
            multiple=True,
            help="A setting of the target that --from names by its kind, as [[targets]] has it; repeat it.",
        ),
        click.option(
            "--target",
            "--from",
            "target",
            metavar="TARGET",
            help="A target of the configuration by name, the folder that holds the backups, or a kind (swift) whose"
            " settings follow in --with.",
        ),
        station_config_option,
    ):
        found = add(found)
    return found


def json_option(command: CommandT) -> CommandT:
    """Add --json, which the function gets as `as_json`: one JSON document on standard output, errors too."""
    return click.option("--json", "as_json", is_flag=True, help="Write one JSON document for programs.")(command)


def ending(command: CommandT) -> CommandT:
    """Turn every BackupError into words on standard error and the exit code it has."""

    @functools.wraps(command)
    def end(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except BackupError as error:
            end_with(error, as_json=bool(options.get("as_json")))

    return end  # type: ignore[return-value]  # the same signature, told by functools.wraps


def clearing(command: CommandT) -> CommandT:
    """Do as `ending`; a signal is such an error, too, so that gpg's agent and what is half made do not stay behind."""

    @ending
    @functools.wraps(command)
    def clear(*arguments: Any, **options: Any) -> Any:
        with cancelled_by_signals():
            return command(*arguments, **options)

    return clear  # type: ignore[return-value]  # as above


def end_with(error: BackupError, *, as_json: bool) -> NoReturn:
    """End the process as `error` demands."""
    if as_json:
        told = {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        click.echo(json.dumps({"error": told}))
    click.echo(f"bkp: {error}", err=True)
    raise SystemExit(error.exit_code) from error


def settings_of(config: Path | None) -> BackupSettings:
    """Read the configuration. Raises ConfigInvalid, also when there is none."""
    if config is None:
        raise ConfigInvalid(
            f"there is no configuration: name one with --config or ${VARIABLE}, or put it at {PLACES[-1]} (bkp sample"
            f" prints one); that of a `watchkeep up` ({STATION_FILE} to read backups, {HOST_FILE} to make them) is"
            f" looked for in ${DATA_VARIABLE} or ./var, here {_data().absolute()}"
        )
    return read_settings(config)


def settings_for_reading(config: Path | None, given: Given, key: Path | None, work: Path | None) -> BackupSettings:
    """Read the configuration and lay the options over it; a target and --key do without one.

    Raises ConfigInvalid.
    """
    if given.more and given.target is None:
        raise ConfigInvalid("--with NAME=VALUE says more of a target: name its kind with --from")
    if config is None and given.target is not None and key is not None:
        settings = BackupSettings(
            host="this-machine",
            work=Path("~/.cache/watchkeep-bkp").expanduser(),
            targets=(given_target(given),),
            keys=KeySettings(),
        )
    else:
        try:
            settings = settings_of(config)
        except ConfigInvalid as error:
            if config is None:
                raise ConfigInvalid(f"{_lacking(given, key)}. Else {error}") from error
            raise
        if given.target is not None:
            known = [each for each in settings.targets if each.name == given.target and not given.more]
            there = tuple(
                each.at_target(given.target) for each in settings.sets if known and given.target in each.targets
            )
            settings = dataclasses.replace(settings, targets=tuple(known) or (given_target(given),), sets=there)
    if key is not None:
        keys = dataclasses.replace(
            settings.keys, station=key.absolute(), station_passphrase_file=passphrase_beside(key)
        )
        settings = dataclasses.replace(settings, keys=keys)
    return settings if work is None else dataclasses.replace(settings, work=work.absolute())


def _lacking(given: Given, key: Path | None) -> str:
    """Return what to add on the command line where there is no configuration."""
    if given.target is None and key is None:
        return (
            "without a configuration say where the backups lie and which key opens them: --target FOLDER --key"
            " KEYFOLDER (another kind of target: --from KIND --with NAME=VALUE ...)"
        )
    if key is None:
        return "without a configuration --target needs --key KEYFOLDER as well, the restore station's keys"
    return "without a configuration --key needs --target FOLDER as well (or --from KIND --with NAME=VALUE ...)"


def passphrase_beside(key_folder: Path) -> Path:
    """Return the passphrase file that belongs to a key folder of the command line: FOLDER.passphrase."""
    folder = key_folder.absolute()
    return folder.with_name(f"{folder.name}.passphrase")


def set_of(settings: BackupSettings, name: str) -> SetSettings:
    """Return the set called "SET", or "HOST/SET" for any host's whose backups lie at the target.

    Raises ConfigInvalid saying how to name one.
    """
    host, slash, plain = name.rpartition("/")
    if not slash:
        return settings.find_set(plain) if settings.sets else _refuse(name)
    fitting = [each for each in settings.sets if each.name == plain and settings.host_of(each) == host]
    if fitting:
        return fitting[0]
    if check_name(host) or check_name(plain) or not settings.targets:
        return _refuse(name)
    if len(settings.targets) > 1:
        names = ", ".join(each.name for each in settings.targets)
        raise ConfigInvalid(
            f"set {name!r} is not in the configuration: say at which target it is with --target ({names})"
        )
    return SetSettings(name=plain, host=host, target=settings.targets[0].name)


def _refuse(name: str) -> NoReturn:
    raise ConfigInvalid(f"there is no backup set {name!r} in the configuration: name it as HOST/SET")


def _data() -> Path:
    return Path(os.environ.get(DATA_VARIABLE) or "var")
