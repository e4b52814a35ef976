"""The commands of `daytwo`, one module a theme: options and wiring; each imports what it needs when it runs."""
