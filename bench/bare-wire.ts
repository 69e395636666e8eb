/** The name of the line itself among the contenders: no program of its own, so what is said of programs leaves it out. */
export const bareWire = 'bare wire';
