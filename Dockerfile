# STSeg with its networks and Ray's job server, for a workstation or the nodes of a cluster.
#
#   docker build --tag stseg:0.1 --build-arg TORCH_INDEX=<index of CPU wheels> .
#   docker build --tag stseg:0.1-cuda --build-arg TORCH_INDEX=<index of wheels for your CUDA> .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" \
#       -v /data/MOSE:/data:ro -v "$PWD/runs:/runs" stseg:0.1-cuda \
#       run --config mose --dataset /data --split valid --output /runs/mose --device cuda
#
# TORCH_INDEX is the address that pytorch.org names for a build of torch; without it pip takes its
# own, which for Linux brings CUDA. CUDA's libraries come with torch: the base needs none.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS wheels
WORKDIR /source
COPY requirements.txt .
ARG TORCH_INDEX=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3013
RUN pip install --no-cache-dir "$(grep '^setuptools==' requirements.txt | cut -d ' ' -f 1)" \
        "$(grep '^wheel==' requirements.txt | cut -d ' ' -f 1)" \
    && python -m venv --system-site-packages /opt/stseg \
    && /opt/stseg/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
        "$(grep '^torch==' requirements.txt)"
# What changes least first: a change of the code makes only the last layer anew.
RUN SAM2_BUILD_CUDA=0 /opt/stseg/bin/pip install --no-cache-dir --no-build-isolation --no-deps \
        sam2==1.1.0 \
    && /opt/stseg/bin/pip install --no-cache-dir --constraint requirements.txt \
        numpy hydra-core iopath "ray[default]" safetensors kornia tensorboardX pycocotools
COPY . .
RUN /opt/stseg/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/stseg/bin/pip install --no-cache-dir --constraint requirements.txt /wheels/stseg-*.whl

FROM python:${PYTHON}-slim-bookworm
COPY --from=wheels /opt/stseg /opt/stseg
# wget: KubeRay asks with it whether a node is well. profile.d: it starts Ray in a login shell.
# hadolint ignore=DL3008,SC2016
RUN apt-get update && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && echo 'export PATH=/opt/stseg/bin:$PATH' >/etc/profile.d/stseg.sh \
    && useradd --create-home --uid 1000 stseg && install --directory --owner=stseg /runs /weights
ENV PATH=/opt/stseg/bin:$PATH \
    STSEG_WEIGHTS=/weights \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONUNBUFFERED=1
USER 1000
WORKDIR /home/stseg
ENTRYPOINT ["stseg"]
CMD ["--help"]
