# In place of node:24-trixie-slim.
ARG FROM
FROM ${FROM}
ADD layer.tar /
CMD ["node"]
