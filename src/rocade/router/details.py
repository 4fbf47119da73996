"""Details of the messages that the dealer sends, and what the peers must have announced for them.

Specification: advanced/rpc_caller_identification.md, advanced/rpc_call_trustlevels.md, advanced/rpc_call_timeout.md,
advanced/payload_passthru_mode.md, advanced/rpc_progressive_call_invocations.md.
"""

from __future__ import annotations

from rocade.router.calls import KeptCall, PendingCall
from rocade.router.session import Session
from rocade.wamp.messages import (
    CallOptions,
    InvocationDetails,
    Match,
    ResultDetails,
    Yield,
)

__all__ = ["NO_INVOCATION_DETAILS", "invocation_details", "missing_feature", "result_details"]

NO_INVOCATION_DETAILS = InvocationDetails()


def invocation_details(pending: PendingCall, kept: KeptCall) -> InvocationDetails:
    """INVOCATION.Details of a call.

    Args:
        pending: the call, with the callee that it goes to.
        kept: how it was made.
    """
    message, registration, caller, callee = kept.message, pending.registration, pending.caller, pending.callee
    options = message.options
    assert caller is not None
    assert callee is not None
    details = InvocationDetails()
    if options.progress:
        details.progress = True
    if caller.role.trustlevel is not None:
        details.trustlevel = caller.role.trustlevel
    if registration.match is not Match.EXACT:
        details.procedure = message.procedure
    if kept.disclose or options.disclose_me or callee in registration.disclosed_to:
        details.caller, details.caller_authid, details.caller_authrole = caller.id, caller.authid, caller.role.name
    if options.receive_progress and caller.caller_progresses and callee.callee_progresses:
        details.receive_progress = True
    # One that had to wait has a timer already, which does not begin anew at the callee.
    if options.timeout and pending.deadline is None and callee in registration.forward_timeout_to:
        details.timeout = options.timeout
    if options.ppt_scheme:
        details.ppt_scheme, details.ppt_serializer = options.ppt_scheme, options.ppt_serializer
        details.ppt_cipher, details.ppt_keyid = options.ppt_cipher, options.ppt_keyid
    return details


def result_details(message: Yield) -> ResultDetails:
    """RESULT.Details for a payload in passthru mode."""
    options = message.options
    return ResultDetails(
        progress=options.progress or None,
        ppt_scheme=options.ppt_scheme,
        ppt_serializer=options.ppt_serializer,
        ppt_cipher=options.ppt_cipher,
        ppt_keyid=options.ppt_keyid,
    )


def missing_feature(callee: Session, options: CallOptions) -> str | None:
    """What a callee would need for a call and has not announced, in plain words."""
    if options.progress and not callee.callee_streams:
        return "progressive call invocations"
    if options.ppt_scheme and not callee.callee_passes_through:
        return "payload passthru mode"
    return None
