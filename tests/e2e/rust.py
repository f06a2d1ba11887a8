"""Programs made from Rust crates by `cargo install`, at a pinned version with the crate's own lock file."""

import shutil

from tests.e2e.toolbox import CACHE, MissingError, Tool, ensure_c_compiler, install, run


def cargo_tool(
    name: str, *, version: str, features: tuple[str, ...], needs: tuple[str, ...] = (), is_optional: bool = False
) -> Tool:
    """Describe the program of a crate.

    Args:
        name: of the crate and of its program.
        version: of the crate.
        features: those wanted instead of the default ones.
        needs: Debian packages that its build needs.
        is_optional: whether all may go well without it.
    """
    place = CACHE / name

    def make() -> None:
        cargo = shutil.which("cargo")
        if cargo is None:
            raise MissingError("there is no cargo here")
        ensure_c_compiler()
        if needs:
            install(*needs)
        command = [cargo, "install", name, "--version", version, "--locked", "--force", "--root", place]
        options = ["--no-default-features", "--features", ",".join(features)]
        run([*command, *options], what=f"cargo install {name}")

    return Tool(
        name=name,
        files=(place / "bin" / name,),
        key=lambda: "\n".join((version, *features)),
        make=make,
        is_optional=is_optional,
    )
