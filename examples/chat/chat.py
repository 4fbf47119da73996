"""A chat: everybody who has the page open sees what anybody says. Run it: rocade dev chat.py"""

from collections import deque

from rocade import Application, ApplicationError

app = Application("chat")
app.http.serve("/", "web")

messages: deque[dict[str, str]] = deque(maxlen=100)


@app.register
async def history() -> list[dict[str, str]]:
    return list(messages)


@app.register
async def say(name: str, text: str) -> None:
    if not text.strip():
        raise ApplicationError("chat.error.empty", "say something")
    message = {"name": name, "text": text}
    messages.append(message)
    await app.publish("chat.said", message)


if __name__ == "__main__":
    app.run()
