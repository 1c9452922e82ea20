# SPDX-License-Identifier: BSD-2-Clause
"""What `poctl metrics` prints, read by the strict parser of a client library
for OpenMetrics."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness import poctl


def parse(text):
    """The samples: {'name{label="value"}': value}. Fails on bad text."""
    samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value
                              in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in samples
            samples[name] = sample.value
    return samples


def measure(store, *options):
    """The samples of a store, as of now."""
    return parse(poctl("metrics", *options, store.path).stdout)


def is_event(name):
    """Whether it counts what was done, rather than how it was asked for, how
    long it took, or how much there is."""
    return ("_total" in name or "_count" in name) and not name.startswith(
        ("pofs_requests", "pofs_store"))


class Meter:
    """What moves from one look to the next."""

    def __init__(self, store):
        self.store = store
        self._last = measure(store)

    def moved(self):
        """How often each event has happened since the last look."""
        last, self._last = self._last, measure(self.store)
        return {name.removeprefix("pofs_"): value - last[name]
                for name, value in self._last.items()
                if is_event(name) and value != last[name]}

    def now(self, name):
        """How much there is."""
        return measure(self.store)[f"pofs_{name}"]
