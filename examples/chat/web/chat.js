import { connect } from "./wamp.js";

const element = (id) => document.getElementById(id);

function show({ name, text }) {
  const line = document.createElement("li");
  line.textContent = `${name}: ${text}`;
  element("messages").append(line);
}

const session = await connect(`ws://${location.host}/ws`, "realm1");
await session.subscribe("chat.said", show);
(await session.call("chat.history")).forEach(show);

element("form").onsubmit = async (event) => {
  event.preventDefault();
  try {
    await session.call("chat.say", element("name").value, element("text").value);
    element("text").value = element("error").textContent = "";
  } catch (error) {
    element("error").textContent = error.message;
  }
};
document.body.dataset.ready = "yes";
