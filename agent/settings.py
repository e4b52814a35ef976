"""Settings of this installation, read once by the entry points and passed inward."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tools.errors import SiteConfigError


def _default_data_dir() -> Path:
    return Path("~/.local/share/daytwo").expanduser()


class Settings(BaseSettings):
    """Every setting has a default that works air-gapped on one machine; the environment overrides it."""

    model_config = SettingsConfigDict(env_prefix="DAYTWO_", extra="ignore")

    data_dir: Annotated[Path, Field(description="Where the index and the store live.")] = Field(
        default_factory=_default_data_dir
    )
    store_url: Annotated[
        SecretStr | None,
        Field(description="Store in PostgreSQL, postgresql+psycopg://USER:PASSWORD@HOST/NAME; SQLite where unset."),
    ] = None
    inventory: Annotated[Path | None, Field(description="inventory.csv of the site: what should be there.")] = None
    site_file: Annotated[
        Path | None, Field(description="site.toml: what may be done, which models may be asked, at what cost.")
    ] = None
    webhook_key: Annotated[
        SecretStr | None, Field(description="What the executor `webhook` signs with; raw, or `whsec_` and base64.")
    ] = None
    node: Annotated[str, Field(description="Name of this machine in verdicts; empty means its host name.")] = ""
    scheduler: Annotated[
        Literal["slurm", "kubernetes", "none"], Field(description="Whose drain and undrain commands a plan shows.")
    ] = "slurm"
    model: Annotated[str, Field(description="Model endpoint as URL#NAME; empty means rules only.")] = ""
    model_key: Annotated[SecretStr | None, Field(description="Key of the model endpoint; never logged.")] = None
    model_timeout_seconds: Annotated[float, Field(gt=0, description="Longest wait for one answer of the model.")] = 60.0
    vllm_env: Annotated[
        Path | None,
        Field(description="Virtual environment with vLLM for `daytwo model serve`; below the data folder if unset."),
    ] = None
    max_steps: Annotated[
        int, Field(ge=1, le=50, description="Model steps of one investigation; the last concludes.")
    ] = 8
    investigation_seconds: Annotated[float, Field(gt=0, description="Longest investigation of one case.")] = 180.0
    model_total_seconds: Annotated[
        float, Field(gt=0, description="Longest that all questions to the model in one triage may take together.")
    ] = 240.0
    embedding: Annotated[
        str,
        Field(
            description="`builtin`, a folder with a local model, or URL#NAME of an OpenAI-compatible /v1/embeddings."
        ),
    ] = "builtin"
    gpu_timeout_seconds: Annotated[float, Field(gt=0, description="Longest wait for one GPU through NVML.")] = 5.0
    iostat_seconds: Annotated[
        int, Field(ge=1, le=60, description="Interval of the iostat report of a live triage.")
    ] = 1
    max_input_bytes: Annotated[int, Field(gt=0, description="Largest evidence file that is read, in bytes.")] = (
        20 * 1024**3
    )
    otlp_endpoint: Annotated[
        str, Field(description="OTLP collector for traces and metrics, http://HOST:4318; nothing is sent where unset.")
    ] = ""
    log_format: Annotated[Literal["json", "text"], Field(description="Form of the server's log lines.")] = "json"
    api_token: Annotated[
        SecretStr | None, Field(description="Bearer token of the API; made at first start if unset.")
    ] = None
    max_upload_bytes: Annotated[int, Field(gt=0, description="Largest body of POST /v1/triage, in bytes.")] = (
        64 * 1024**2
    )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SiteConfigError: A variable holds a value that does not fit, named with what is expected.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "DAYTWO_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SiteConfigError(
            f"Setting {name} does not fit: {first['msg']}.", fix=f"unset {name}, or see docs/settings.md"
        ) from None


def read_variable(name: str) -> str:
    """A variable that the site's file names, such as the one with the key of a model; empty where it is not set."""
    return os.environ.get(name, "")
