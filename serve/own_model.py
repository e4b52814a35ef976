"""Which model servers of Daytwo's own run now: read from their state, and never believed without a living process."""

from __future__ import annotations

from agent.own_model import OwnModel
from agent.settings import Settings


def list_own_models(settings: Settings) -> tuple[OwnModel, ...]:
    """List them; none where there never was one, which costs no import."""
    folder = settings.data_dir / "service"
    if not folder.is_dir():
        return ()
    from serve.model_state import load_state
    from tools.entities import make_gpu

    state = load_state(folder)
    if state is None or not state.living:
        return ()
    gpus = [gpu for replica in state.living for gpu in replica.gpus]
    held = tuple(make_gpu(state.node, index=gpu.index, pci=gpu.pci, uuid=gpu.uuid) for gpu in gpus)
    return (OwnModel(state.name, state.node, held),)
