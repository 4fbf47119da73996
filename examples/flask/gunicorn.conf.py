"""Has each process register and subscribe when it starts, and not only when it first uses the client."""

import rocade


def post_worker_init(worker):
    from shop import client

    try:
        client.start()
    except rocade.ConnectionFailed as error:
        worker.log.warning("without a router so far: %s", error)
