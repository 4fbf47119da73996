"""Who a client is: one module per method, and the seam between them and connections in `attempt`.

A method is an `Authenticator`; a transport has several, by name, and the client's list of methods decides which is
tried (advanced/authentication.md). Where a method finds what it compares with is another matter, in `principals`.
"""

from rocade.serve.authentication.anonymous import Anonymous
from rocade.serve.authentication.attempt import Attempt, Authenticator, Identity, Outcome, Question, begin

__all__ = ["Anonymous", "Attempt", "Authenticator", "Identity", "Outcome", "Question", "begin"]
