# docker build -t espalier . ; see README.md, "Privileges", for how to run it.
FROM node:22-bookworm-slim AS build
WORKDIR /espalier
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-fund --no-audit --no-json
COPY . .
RUN npm run build && npm prune --omit=dev --no-json

FROM node:22-bookworm-slim
WORKDIR /espalier
COPY --from=build /espalier/package.json /espalier/LICENSE ./
COPY --from=build /espalier/node_modules ./node_modules
COPY --from=build /espalier/build ./build
COPY --from=build /espalier/dist ./dist
RUN ln -s /espalier/dist/src/main.js /usr/local/bin/espalier
STOPSIGNAL SIGTERM
ENTRYPOINT ["espalier"]
CMD ["run", "-c", "/etc/espalier/gateway.yaml", "--log-format", "json"]
