import { defineConfig } from "vitest/config";

export default defineConfig({ define: { factNames: '""' }, test: { include: ["tests/**/*.test.ts"], reporters: ["default"] } });
