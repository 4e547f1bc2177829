#!/bin/sh
# Replaces the MCP server by one of the image that .env names now, while clients go on: replace-server.sh
# The new one starts beside the old one under another name, takes its place once it is healthy, and is Compose's own from then on:
# `docker compose ps` lists it, and `docker compose up -d` leaves it as it is. Where more than the image is another one it changes
# nothing and says so. docs/deployment.md has what clients see of it.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/host/settings.sh
. "$here/settings.sh"
name=proxmox-mcp-server next=proxmox-mcp-server-next
fail() { printf '%s\n' "$*" >&2; exit 1; }
ask() { docker inspect --type container --format "$2" "$1" 2>/dev/null; }
hash_with() { (cd "$home" && IMAGE_TAG=$1 docker compose config --hash mcp-server) | awk '{ print $2 }'; }

[ "$deployment" = compose ] || fail 'Only with Docker Compose there is a second server to take over.'
# Nobody else recovers or changes the installation meanwhile.
exec 9>"$recovery/lock"
flock --wait 60 9 || fail 'Somebody works on the installation: try again when that is done.'
tag=$(setting IMAGE_TAG latest)
image=$(docker image inspect --format '{{.Id}}' "proxmox-mcp-server:$tag" 2>/dev/null) || fail "There is no image proxmox-mcp-server:$tag."
hash=$(hash_with "$tag")

take_over() {
  docker stop --time 40 "$name" >/dev/null 2>&1 || :
  docker rm "$name" >/dev/null 2>&1 || :
  docker rename "$next" "$name"
}

# Cut off before: what had begun to take over goes on.
if [ "$(ask "$next" '{{.State.Health.Status}} {{index .Config.Labels "com.docker.compose.config-hash"}}')" = "healthy $hash" ] &&
  [ -n "$(ask "$next" '{{with index .NetworkSettings.Networks "proxmox-mcp_front"}}{{.IPAddress}}{{end}}')" ]; then
  take_over
  exit 0
fi
docker rm --force "$next" >/dev/null 2>&1 || :
was=$(ask "$name" '{{.Config.Image}}') || fail "No $name runs: systemctl start $unit"
has=$(ask "$name" '{{index .Config.Labels "com.docker.compose.config-hash"}}')
[ "$has" != "$hash" ] || { printf '%s\n' "It is of proxmox-mcp-server:$tag already."; exit 0; }
[ "$has" = "$(hash_with "${was##*:}")" ] || fail "More than its image is another one than in docker-compose.yml and .env: systemctl restart $unit"

# The old one's definition without what it has of its image, whose own words the new one has again. What passes on requests
# finds it only once it is healthy.
old_image=$(ask "$name" '{{.Image}}')
printf '{"of":%s,"image":%s}' "$(docker inspect --type container "$name")" "$(docker image inspect "$old_image")" |
  docker run --rm --interactive --network none --entrypoint node "$image" -e '
    const [tag, id, hash] = process.argv.slice(1);
    const { of: [{ Config, HostConfig }], image: [{ Config: own }] } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const config = Object.fromEntries(Object.entries(Config).filter(([key, value]) => !same(value, own[key])));
    const without = (all, some) => Object.entries(all ?? {}).filter(([key, value]) => (some ?? {})[key] !== value);
    process.stdout.write(JSON.stringify({
      ...config,
      Hostname: "",
      Image: `proxmox-mcp-server:${tag}`,
      Env: (Config.Env ?? []).filter((line) => !(own.Env ?? []).includes(line)),
      Labels: {
        ...Object.fromEntries(without(Config.Labels, own.Labels)),
        "com.docker.compose.config-hash": hash,
        "com.docker.compose.image": id,
      },
      HostConfig: { ...HostConfig, NetworkMode: "proxmox-mcp_back" },
      NetworkingConfig: { EndpointsConfig: { "proxmox-mcp_back": { Aliases: ["mcp-server"] } } },
    }));' "$tag" "$image" "$hash" |
  curl --silent --show-error --fail --unix-socket /var/run/docker.sock --header 'Content-Type: application/json' --data-binary @- \
    --output /dev/null "http://localhost/containers/create?name=$next" || fail 'Docker did not make the new container.'
docker network connect --alias mcp-server proxmox-mcp_engine "$next"
docker start "$next" >/dev/null
tries=0
until [ "$(ask "$next" '{{.State.Health.Status}}')" = healthy ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 120 ]; then
    docker logs --tail 5 "$next" >&2 || :
    docker rm --force "$next" >/dev/null
    fail 'The new server did not get healthy: the old one goes on. What it said is above.'
  fi
  sleep 1
done
docker network connect --alias mcp-server --alias "$name" proxmox-mcp_front "$next"
take_over
printf '%s\n' "$name is of proxmox-mcp-server:$tag now."
