// Where the pages begin.

import { mount } from "svelte";
import App from "./App.svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/table.css";

const target = document.getElementById("page");
if (target) mount(App, { target });
