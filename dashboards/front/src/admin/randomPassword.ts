// A password that can be read out: five groups of four from 31 letters and digits that are not taken for each other (99 bits).

const LETTERS = "23456789abcdefghjkmnpqrstuvwxyz";
const FAIR_BELOW = 256 - (256 % LETTERS.length);

export function randomPassword(): string {
  const signs: string[] = [];
  while (signs.length < 20) {
    const [byte = 255] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < FAIR_BELOW) signs.push(LETTERS[byte % LETTERS.length] ?? "");
  }
  return [0, 4, 8, 12, 16].map((start) => signs.slice(start, start + 4).join("")).join("-");
}
