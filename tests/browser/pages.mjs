// Every page of the explorer, by what the network holds.

/** Names for output and file names, addresses, and the status if it is another one than 200. */
export function pages({ messages, block, addresses, validator, transactions, nobody, alike }) {
  const { open, sealed, long, silent, hostile } = messages;
  return [
    ["home", "/"],
    ["home-50", "/?blocks=50"],
    ["blocks", "/blocks"],
    ["block", `/block/${block.height}`],
    ["block-1", "/block/1"],
    ["tree", `/block/${block.height}/tree?leaf=0`],
    ["message-open", `/message/${open}`],
    ["message-silent", `/message/${silent}`],
    ["message-sealed", `/message/${sealed}`],
    ["message-long", `/message/${long}`],
    ["message-hostile", `/message/${hostile}`],
    ["message-bytes", `/message/${long}?hex=0`],
    ["receipt", `/tx/${transactions.receipt}`],
    ["keys", `/tx/${transactions.keys}`],
    ["designation", `/tx/${transactions.designation}`],
    ["address-sender", `/address/${addresses.alice}`],
    ["address-recipient", `/address/${addresses.bob}`],
    ["address-class", `/address/${addresses.alice}?class=heating`],
    ["validators", "/validators"],
    ["validator", `/validator/${validator}`],
    ["network", "/network"],
    ["postage", "/postage?bytes=5000"],
    ["search", "/search?q=nonsense", 400],
    ["search-hits", `/search?q=${alike}`],
    ["glossary", "/glossary"],
    ["about", "/about"],
    ["verify", "/verify"],
    ["check", `/message/${open}/check`],
    ["api", "/api"],
    ["nowhere", "/nowhere", 404],
    ["no-message", `/message/${nobody}`, 404],
    ["no-height", "/block/one", 400],
  ].map(([name, path, status]) => ({ name, path, status: status ?? 200 }));
}
