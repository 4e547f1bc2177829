# In place of prom/prometheus: the same places.
ARG FROM
FROM ${FROM}
ADD layer.tar /
USER 65534
EXPOSE 9090
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
