// Questions to the server, which is only ever this page's own.

import { $ } from "./dom.js";

/** The answer to a question. It throws an Error with the server's words where it has none. */
export async function ask(name, given = {}, signal = undefined) {
  const used = Object.entries(given).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  let response;
  try {
    response = await fetch(`api/${name}?${new URLSearchParams(used)}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the viewer does not answer; start acemath view again and open the address that it prints");
  }
  const value = await response.json();
  if (!response.ok) throw new Error(value.error);
  return value;
}

/** Show an error above the page, or none; an answer that is no longer wanted is no error. */
export function report(error) {
  if (error?.name === "AbortError") return;
  $("error").hidden = !error;
  $("error").textContent = error ? error.message : "";
}
