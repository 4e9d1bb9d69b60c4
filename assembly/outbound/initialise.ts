/** What is fixed in the outbound half of an arena. */
export function initialiseOutbound(arena: usize): void {}
