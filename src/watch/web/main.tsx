/** The live page of `datagram watch`, which runs in the browser. The server of src/watch sends it what it shows. */

import { render } from "preact";

const page = document.getElementById("page");
if (page === null) throw new Error("index.html has no element for the page");
render(<h1>datagram watch</h1>, page);
