/* The page before the page, where a station wants a token: sent once, kept only as a cookie that scripts cannot read. */

import { post } from "./api.js";
import { say } from "./dom.js";

const form = document.querySelector("form"), input = document.getElementById("token"), why = document.getElementById("why");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  say(why, "");
  try {
    await post("/login", { token: input.value.trim() });
  } catch (error) {
    say(why, `Not taken: ${error.message}`);
    input.select();
    return;
  }
  location.replace(`/${location.hash}`);
});
