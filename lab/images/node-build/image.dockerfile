# In place of node:24-trixie, which has a compiler.
ARG FROM
FROM ${FROM}
ADD layer.tar /
