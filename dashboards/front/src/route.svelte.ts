// Where the reader is: everything behind "#", so that any server and any prefix can serve the pages and a link gives the same view.

export interface Place {
  path: string[];
  query: URLSearchParams;
}

/** Take an address's fragment apart: "#/hosts/db1?range=1h". */
export function placeOf(fragment: string): Place {
  const [path = "", query = ""] = fragment.replace(/^#\/?/, "").split("?", 2);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(query),
  };
}

/** The fragment of a place; empty query values are left out. */
export function linkTo(path: readonly string[], query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, value);
  const text = search.toString().replaceAll("%2C", ",");
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

class Route {
  place = $state.raw<Place>(placeOf(location.hash));

  constructor() {
    window.addEventListener("hashchange", () => (this.place = placeOf(location.hash)));
  }

  /** Change the query of this page; `replace` leaves no step in the browser's history. */
  ask(changes: Record<string, string | undefined>, replace: boolean): void {
    const query = Object.fromEntries(this.place.query);
    const link = linkTo(this.place.path, { ...query, ...changes } as Record<string, string | undefined>);
    if (link === location.hash) return;
    if (replace) history.replaceState(null, "", link);
    else history.pushState(null, "", link);
    this.place = placeOf(link);
  }

  go(link: string): void {
    location.hash = link;
  }
}

export const route = new Route();
