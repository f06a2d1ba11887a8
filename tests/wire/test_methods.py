"""The table of rpcs and events is that of NRI."""

from __future__ import annotations

import pytest

from nri_netdev.errors import LocalProtocolError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire import methods
from nri_netdev.wire.methods import HOOKS, EventKind, event_mask, events_in


def test_table_agrees_with_the_service() -> None:
    """Every rpc of both services is in the table with its messages, and nothing else."""
    for service, requests, responses in (
        ("Plugin", methods.PLUGIN_REQUESTS, methods.PLUGIN_RESPONSES),
        ("Runtime", methods.RUNTIME_REQUESTS, methods.RUNTIME_RESPONSES),
    ):
        declared = nri_pb2.DESCRIPTOR.services_by_name[service].methods_by_name
        assert declared[next(iter(declared))].containing_service.full_name.endswith(service)
        assert {name: rpc.input_type for name, rpc in declared.items()} == {
            name: message.DESCRIPTOR for name, message in requests.items()
        }
        assert {name: rpc.output_type for name, rpc in declared.items()} == {
            name: message.DESCRIPTOR for name, message in responses.items()
        }


def test_full_names_of_the_services() -> None:
    """Services are named on the wire as the proto file names them."""
    services = {service.full_name for service in nri_pb2.DESCRIPTOR.services_by_name.values()}
    assert services == {methods.PLUGIN_SERVICE, methods.RUNTIME_SERVICE}


def test_kinds_agree_with_the_enum() -> None:
    """Events bear NRI's names and numbers."""
    declared = dict(nri_pb2.Event.items())
    assert {kind.name: int(kind) for kind in EventKind} == {
        name: number for name, number in declared.items() if name not in {"UNKNOWN", "LAST"}
    }


def test_nine_events_had_no_rpc_of_their_own() -> None:
    """Exactly the nine that NRI 0.12 gave an rpc may come as StateChange."""
    assert {hook.method for hook in HOOKS.values() if hook.is_state_change} == {
        "RunPodSandbox",
        "StopPodSandbox",
        "RemovePodSandbox",
        "PostUpdatePodSandbox",
        "PostCreateContainer",
        "StartContainer",
        "PostStartContainer",
        "PostUpdateContainer",
        "RemoveContainer",
    }


def test_bits() -> None:
    """Bit n-1 is event n."""
    assert event_mask(EventKind.RUN_POD_SANDBOX) == 1
    assert event_mask(EventKind.CREATE_CONTAINER, EventKind.STOP_CONTAINER) == 0b10_0000_1000
    assert event_mask(*EventKind) == methods.EVENTS_SINCE_0_10 == 0x3FFF
    assert event_mask(*(kind for kind in EventKind if kind <= EventKind.REMOVE_CONTAINER)) == methods.EVENTS_BEFORE_0_10
    assert methods.EVENTS_BEFORE_0_10 == 0x7FF


def test_mask_of_nothing_is_our_bug() -> None:
    """No events cannot be asked for: 0 would be all."""
    with pytest.raises(LocalProtocolError):
        event_mask()


@pytest.mark.parametrize("kind", EventKind)
def test_events_in_a_mask(kind: EventKind) -> None:
    """A mask is read as it is written; 0 is all."""
    assert events_in(event_mask(kind)) == (kind,)
    assert events_in(0) == tuple(EventKind)
