"""A site that calls, publishes, subscribes and offers procedures, in as many processes as its server starts.

rocade start &
gunicorn -w 4 shop:app
"""

import os

import flask

import rocade

app = flask.Flask(__name__)
client = rocade.blocking.Client(os.environ.get("ROCADE_URL", "ws://127.0.0.1:8080/ws"))
prices = {"tea": 2.5, "milk": 1.2}
sold: list[str] = []


@client.register("shop.price")  # every process does, and the router spreads the calls over them
def price(item: str) -> float:
    if item not in prices:
        raise rocade.ApplicationError("shop.error.no_such_item", item)
    return prices[item]


@client.register("shop.process")
def process() -> int:
    return os.getpid()


@client.subscribe("shop.sold")  # every process hears of what all of them sell
def on_sold(item: str) -> None:
    sold.append(item)


@app.get("/price/<item>")
def show_price(item: str) -> dict[str, float]:
    return {item: client.call("shop.price", item, timeout=5)}


@app.post("/sold/<item>")
def sell(item: str) -> dict[str, str]:
    client.publish("shop.sold", item, options=rocade.PublishOptions(acknowledge=True, exclude_me=False))
    return {"sold": item}


@app.errorhandler(rocade.ApplicationError)
def refused(error: rocade.ApplicationError) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, 404 if error.uri == "shop.error.no_such_item" else 502


@app.errorhandler(rocade.ConnectionFailed)
@app.errorhandler(rocade.ConnectionLost)
def not_connected(error: Exception) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, 503
