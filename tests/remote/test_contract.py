"""Every remote leaf keeps the contract, against the real service or the emulator that its maker ships."""

import pytest

from dolium.stores.contract import BlobStore
from dolium.testing.powers import ChunksSuite, DescriptionsSuite, SignsAnswersSuite, SignsSuite, SpaceSuite
from dolium.testing.stores import StoreSuite
from tests.remote.conftest import Service


class TestS3(StoreSuite, ChunksSuite, DescriptionsSuite, SignsAnswersSuite):
    @pytest.fixture
    def store(self, s3_service: Service) -> BlobStore:
        return s3_service.open()


class TestAzureBlob(StoreSuite, ChunksSuite, DescriptionsSuite, SignsAnswersSuite):
    @pytest.fixture
    def store(self, azure_blob_service: Service) -> BlobStore:
        return azure_blob_service.open()


class TestGcs(StoreSuite, ChunksSuite, DescriptionsSuite):
    @pytest.fixture
    def store(self, gcs_service: Service) -> BlobStore:
        return gcs_service.open()


class TestOpenstackSwift(StoreSuite, ChunksSuite, DescriptionsSuite, SignsSuite, SpaceSuite):
    @pytest.fixture
    def store(self, openstack_swift_service: Service) -> BlobStore:
        return openstack_swift_service.open()


class TestWebDav(StoreSuite, ChunksSuite, DescriptionsSuite, SpaceSuite):
    @pytest.fixture
    def store(self, webdav_service: Service) -> BlobStore:
        return webdav_service.open()
