// Requests to the server that served this page; the token is part of this file's own address.
import { tell } from "./dom.js";

export const root = new URL("../", import.meta.url);

async function answered(path, options) {
  let answer;
  try {
    answer = await fetch(new URL(path, root), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer: start it again, nothing that was saved is lost");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let words = text;
  try {
    words = JSON.parse(text).error;
  } catch {
    // a sentence as it is
  }
  throw Object.assign(new Error(words), { status: answer.status });
}

export const getJson = async (path) => (await answered(path)).json();
export const getBytes = async (path, signal) => (await answered(path, { signal })).arrayBuffer();
export const getBlob = async (path, signal) => (await answered(path, { signal })).blob();

export async function post(path, sent = {}) {
  const body = JSON.stringify(sent);
  return (await answered(path, { method: "POST", body, keepalive: true })).json();
}

export const put = async (path, body) => (await answered(path, { method: "PUT", body })).json();

// Do something and tell how it went; the answer, or undefined where it failed.
export async function attempt(doing, what) {
  tell(`${doing} …`);
  try {
    const answer = await what();
    tell(`${doing}: done`);
    return answer;
  } catch (error) {
    tell(error.message, true);
    return undefined;
  }
}
