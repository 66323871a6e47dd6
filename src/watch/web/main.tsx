/**
 * The live page of `datagram watch`, which runs in the browser. The server of src/watch sends it what it shows.
 *
 * `state` has the connection and what is known, `panes` the four panes, and `parts` what they share. Nothing here makes markup of a
 * text: whatever a stranger has sent becomes a text node or a picture.
 */

import { render } from "preact";

// First, so that the styles of each part can change these.
import "./parts/theme.css";
import "./parts/controls.css";
import "./parts/card.css";
import { App } from "./app.js";
import { apply } from "./parts/theme.js";
import { Client } from "./state/client.js";

const page = document.getElementById("page");
if (page === null) throw new Error("index.html has no element for the page");
apply();
render(<App client={new Client()} />, page);
