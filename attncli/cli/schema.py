"""attncli schema."""

from pathlib import Path

import click


@click.command(short_help="Write the JSON Schema of specs, for editors.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, not to stdout.")
def schema(out: Path | None) -> None:
    """Write the JSON Schema of the language.

    An editor with a YAML language server completes and checks a spec whose first line says where it lies:
    `# yaml-language-server: $schema=schema.json`.
    """
    import json

    from attncli.spec.schema import json_schema

    text = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"{out}: begin a spec with the line `# yaml-language-server: $schema={out}`", err=True)
