/** Who follows a link to a room is asked for a name only. */

import { $ } from "./dom.js";

if (location.hash) {
  try {
    $("[name=room]").value = decodeURIComponent(location.hash.slice(1));
  } catch {
    // That is no room.
  }
}
$("[name=name]").focus();
