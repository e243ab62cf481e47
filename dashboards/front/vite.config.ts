import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, loadEnv } from "vite";

// The pages are served under any prefix (base "./") and a strict Content-Security-Policy:
// nothing is inlined as a data: address, and nothing is loaded from elsewhere.
export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../assets",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: {
    // `npm run dev` beside a running server: WATCHKEEP_API says where it is.
    proxy: { "/api": loadEnv(mode, ".", "WATCHKEEP_")["WATCHKEEP_API"] ?? "http://127.0.0.1:8080" },
  },
}));
