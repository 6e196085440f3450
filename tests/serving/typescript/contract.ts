/** Calls the API as an app would; prints what it found as JSON. */
import { createRecsys, type Event } from "recsys-client";

declare const process: { env: Record<string, string> };
const [url, key] = [process.env["API"] ?? "", process.env["KEY"] ?? ""];
const reader = { path: { user_id: "u01" } };

/** What an HTTP cache does, a browser's too: it keeps the body, asks whether it is still good, and gives it with the new headers. */
let kept: { body: string; etag: string } | undefined;
async function cachingFetch(request: Request): Promise<Response> {
  if (!kept) {
    const answer = await fetch(request);
    kept = { body: await answer.clone().text(), etag: answer.headers.get("etag") ?? "" };
    return answer;
  }
  const answer = await fetch(new Request(request, { headers: { ...Object.fromEntries(request.headers), "If-None-Match": kept.etag } }));
  if (answer.status !== 304) throw new Error(`${answer.status} instead of 304`);
  return new Response(kept.body, { status: 200, headers: { ...Object.fromEntries(answer.headers), "Content-Type": "application/json" } });
}

const api = createRecsys(url, key);
const list = await api.GET("/v1/users/{user_id}/recommendations", { params: { ...reader, query: { k: 3 } } });
const home = await api.GET("/v1/users/{user_id}/home", { params: reader });
const ranked = await api.POST("/v1/rank", { body: { user_id: "u01", book_ids: ["b01", "nothing"] } });
const guest = await api.POST("/v1/recommendations", { body: { events: [{ event: "Book Finished", book_id: "b01" }], k: 2 } });
const event: Event = { messageId: "m1", timestamp: "2026-11-22T10:00:00Z", event: "Book Saved", userId: "u01", properties: { book_id: "b02" } };
const posted = await api.POST("/v1/events", { body: { batch: [event] } });
const missing = await api.GET("/v1/books/{book_id}/similar", { params: { path: { book_id: "nothing" } } });
const caching = createRecsys(url, key, cachingFetch);
const first = await caching.GET("/v1/users/{user_id}/recommendations", { params: reader });
const again = await caching.GET("/v1/users/{user_id}/recommendations", { params: reader });

// @ts-expect-error: a field that the document does not have
const noField = list.data?.items[0]?.book.heading;
// @ts-expect-error: a number is asked for
const noNumber = api.GET("/v1/popular", { params: { query: { k: "3" } } }).catch(() => undefined);
await noNumber;

console.log(
  JSON.stringify({
    titles: list.data?.items.map((item) => item.book.title),
    source: list.data?.source,
    shelves: home.data?.shelves.map((shelf) => shelf.name),
    unknown: ranked.data?.unknown,
    guest: guest.data?.items.length,
    accepted: posted.data?.accepted,
    problem: [missing.error?.status, missing.error?.detail],
    first: first.data?.request_id,
    again: again.data?.request_id,
    header: again.response.headers.get("x-request-id"),
    items: [...new Set(again.data?.items.map((item) => item.request_id))],
    noField: noField ?? null,
  }),
);
