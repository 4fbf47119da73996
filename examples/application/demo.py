"""An application with two procedures and a topic. Run it, and then ask.py with the URL that it shows."""

import socket
import uuid

from rocade import Application, EventDetails

app = Application("demo")
addresses: list[str] = []


@app.on("app.starting")
def find_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, but chooses an address to send from
            addresses.append(probe.getsockname()[0])
        except OSError:
            addresses.append("127.0.0.1")


@app.register()
def ip() -> str:
    return addresses[0]


@app.register("demo.uuid")
def get_uuid() -> str:
    return uuid.uuid4().hex


@app.subscribe("demo.ping.", match="prefix", limit_calls=3)
async def on_ping(event: EventDetails, who: str) -> None:
    await app.publish("demo.pong", f"{who} pinged {event.topic.removeprefix('demo.ping.')}")


if __name__ == "__main__":
    app.run()
