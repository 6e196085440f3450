/** A typed client of the recommendation API. Its types are generated from the OpenAPI document (`schema.ts`). */
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
export type Item = Schemas["Item"];
export type Problem = Schemas["Problem"];
export type Recommended = Schemas["Recommended"];
export type Home = Schemas["Home"];
export type Event = Schemas["Event"];
export type Recsys = Client<paths>;

/**
 * Return a client: `api.GET(path, …)` and `api.POST(path, …)` give `data`, or `error`, which is a problem.
 *
 * `fetch`: another one than the platform's, such as one with retries.
 */
export function createRecsys(url: string, token: string, fetch?: (request: Request) => Promise<Response>): Recsys {
  const headers = { Authorization: `Bearer ${token}` };
  const api = createClient<paths>({ baseUrl: url, headers, ...(fetch ? { fetch } : {}) });
  api.use(currentRequestIds);
  return api;
}

/**
 * A list that an HTTP cache kept and the API confirmed (304) was shown again, under the id of the new answer. So its items get that
 * id, and clicks join what was shown now.
 */
const currentRequestIds: Middleware = {
  async onResponse({ response }) {
    const id = response.headers.get("x-request-id");
    if (!response.ok || !id || !response.headers.has("etag")) return undefined;
    const body = (await response.clone().json()) as { request_id: string; items?: { request_id: string }[] };
    if (body.request_id === id) return undefined;
    body.request_id = id;
    for (const item of body.items ?? []) item.request_id = id;
    return new Response(JSON.stringify(body), { status: response.status, headers: response.headers });
  },
};
