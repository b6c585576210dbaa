// A shop's server with Segment's SDK for Node, as its documentation shows it:
// one call of each kind, then `count` events, then everything flushed. Prints what failed.
import { Analytics } from "@segment/analytics-node";

const [host, writeKey, count] = process.argv.slice(2);
const failures = [];
const analytics = new Analytics({ writeKey, host });
analytics.on("error", (error) => failures.push(String(error.reason ?? error)));

const userId = "node-1";
analytics.identify({ userId, anonymousId: "node-a", traits: { email: "grace@shop.example" } });
analytics.page({ userId, category: "shop", name: "Home" });
analytics.screen({ userId, name: "Basket" });
analytics.group({ userId, groupId: "g-1", traits: { name: "Runners" } });
analytics.alias({ userId, previousId: "node-a" });
for (let number = 0; number < Number(count); number++) {
  analytics.track({ userId, event: "Loyalty Card Scanned", properties: { number } });
}
await analytics.closeAndFlush({ timeout: 120_000 });
console.log(JSON.stringify(failures));
