/** What is fixed in the inbound half of an arena. */
export function initialiseInbound(arena: usize): void {}
