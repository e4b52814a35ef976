"""Commands about what is done: proposals, approve, reject, breaker, audit."""

from __future__ import annotations

from typing import Annotated

import typer

from serve.app import JsonOption, app

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A proposal, or the beginning of its id.")]
WhyOption = Annotated[str, typer.Option("--why", help="Why, for those who read it later.", metavar="TEXT")]
NameOption = Annotated[str, typer.Option("--as", help="Your name, where several share the account.", metavar="NAME")]
CaseOption = Annotated[str, typer.Option("--case", help="Only of this case.", metavar="ID")]


@app.command()
def proposals(
    case: CaseOption = "",
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for your word."""
    from serve.actions import run_proposals

    raise typer.Exit(run_proposals(case_id=case, everything=everything, as_json=as_json))


@app.command()
def approve(
    proposal: IdArgument,
    why: WhyOption,
    name: NameOption = "",
    checked: Annotated[bool, typer.Option("--checked", help="You have seen that the precondition holds.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a proposal be done: approve ID --why TEXT."""
    from serve.actions import Word, run_approve

    word = Word(proposal, why, name, checked=checked, rehearse_only=dry_run)
    raise typer.Exit(run_approve(word, as_json=as_json))


@app.command()
def reject(proposal: IdArgument, why: WhyOption, name: NameOption = "", as_json: JsonOption = False) -> None:
    """Refuse a proposal: reject ID --why TEXT."""
    from serve.actions import Word, run_reject

    raise typer.Exit(run_reject(Word(proposal, why, name), as_json=as_json))


breaker = typer.Typer(help="See the breaker, and reset it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(breaker, name="breaker")


@breaker.command(name="show")
def show_breaker(as_json: JsonOption = False) -> None:
    """Say whether too much was proposed at once; 1 if so."""
    from serve.actions import run_breaker_show

    raise typer.Exit(run_breaker_show(as_json=as_json))


@breaker.command(name="reset")
def reset_breaker(why: WhyOption, name: NameOption = "", as_json: JsonOption = False) -> None:
    """Let actions go on: breaker reset --why TEXT."""
    from serve.actions import Word, run_breaker_reset

    raise typer.Exit(run_breaker_reset(Word("", why, name), as_json=as_json))


audit = typer.Typer(help="Read the audit, and check it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit, name="audit")


@audit.command(name="show")
def show_audit(
    case: CaseOption = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="The newest so many; 0 for all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what was decided, asked, approved and done."""
    from serve.audit import run_show

    raise typer.Exit(run_show(case_id=case, limit=limit, as_json=as_json))


@audit.command(name="verify")
def verify_audit(
    head: Annotated[
        str, typer.Option("--head", help="A head that you kept elsewhere: finds a cut at the end too.", metavar="HASH")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Check that no row was changed or removed; 1 if one was."""
    from serve.audit import run_verify

    raise typer.Exit(run_verify(head=head, as_json=as_json))
